#!/usr/bin/env python3
"""Copies the images of a Glance into diskmorph: see docs/from-glance.md. Run it again to copy what has come since."""
import os
import sys

import requests

GLANCE = os.environ["GLANCE"].rstrip("/")
DISKMORPH = os.environ["DISKMORPH"].rstrip("/")
PIECE = 1024 * 1024
# What the services themselves say of an image; the rest is its owner's.
OWN = {
    "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at",
    "self", "file", "schema", "stores", "locations", "direct_url", "tags",
}


def session(token_variable):
    result = requests.Session()
    token = os.environ.get(token_variable)
    if token:
        result.headers["X-Auth-Token"] = token
    result.headers["Accept"] = "application/json"
    return result


source, target = session("GLANCE_TOKEN"), session("DISKMORPH_TOKEN")


class Refused(Exception):
    """One of the services did not do what it was asked; the others' images may still be copied."""


def answer(response, *accepted):
    if response.status_code not in accepted:
        raise Refused(f"{response.request.method} {response.url}: {response.status_code} {response.text[:500]}")
    return response


def images():
    # Without "all" Glance leaves out community images, also for administrators.
    for hidden in ("false", "true"):
        path = f"/v2/images?limit=100&visibility=all&os_hidden={hidden}"
        while path:
            page = answer(source.get(GLANCE + path), 200).json()
            yield from page["images"]
            path = page.get("next")


def document(image):
    kept = {k: v for k, v in image.items() if k not in OWN and not k.startswith("os_glance_") and v is not None}
    return {**kept, "tags": image["tags"]}


def same_data(copied, image):
    return all(copied[name] == image[name] for name in ("size", "checksum", "os_hash_value"))


def copy_data(image):
    url = f"/v2/images/{image['id']}/file"
    with answer(source.get(GLANCE + url, stream=True), 200) as data:
        headers = {"Content-Type": "application/octet-stream", "x-openstack-image-size": str(image["size"])}
        pieces = data.iter_content(PIECE)
        answer(target.put(DISKMORPH + url, data=pieces, headers=headers), 204)


def copy_members(image):
    url = f"/v2/images/{image['id']}/members"
    for member in answer(source.get(GLANCE + url), 200).json()["members"]:
        answer(target.post(DISKMORPH + url, json={"member": member["member_id"]}), 200, 409)
        answer(target.put(f"{DISKMORPH}{url}/{member['member_id']}", json={"status": member["status"]}), 200)


def copy(image):
    url = f"{DISKMORPH}/v2/images/{image['id']}"
    present = answer(target.get(url), 200, 404)
    if present.status_code == 404:
        answer(target.post(f"{DISKMORPH}/v2/images", json=document(image)), 201)
        present = answer(target.get(url), 200)
    if image["status"] in ("active", "deactivated") and present.json()["status"] == "queued":
        copy_data(image)
        present = answer(target.get(url), 200)
        if not same_data(present.json(), image):
            raise Refused("the copy is not the same")
    if image["visibility"] == "shared":
        copy_members(image)
    if image["status"] == "deactivated":
        answer(target.post(f"{url}/actions/deactivate"), 204)
        return "deactivated"
    return present.json()["status"]


def main():
    refused = 0
    for each in images():
        name = f"{each['id']} {each['name']}"
        if each["status"] not in ("active", "deactivated", "queued"):
            print(f"{name}: is {each['status']}, left alone")
            continue
        try:
            print(f"{name}: {copy(each)}", flush=True)
        except (Refused, requests.RequestException) as reason:
            refused += 1
            print(f"{name}: NOT COPIED: {reason}", flush=True)
    if refused > 0:
        sys.exit(f"{refused} images were not copied: see above")


main()
