"""Converts an image as an image service does: inspect under limits, refuse on any text on standard error, convert."""

import json
import resource
import subprocess
import sys


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (2, 2))


def main(source, source_format, target_format, target):
    done = subprocess.run(
        ["qemu-img", "info", "-f", source_format, "--output=json", source],
        capture_output=True,
        text=True,
        preexec_fn=limits,
    )
    if done.stderr:
        raise RuntimeError(done.stderr)
    metadata = json.loads(done.stdout)
    if "backing-filename" in metadata:
        raise RuntimeError("the image has a backing file")
    if metadata["format"] != source_format:
        raise RuntimeError("the image is of another format")
    done = subprocess.run(
        ["qemu-img", "convert", "-f", source_format, "-O", target_format, source, target],
        capture_output=True,
        text=True,
    )
    if done.stderr:
        raise RuntimeError(done.stderr)
    done = subprocess.run(
        ["qemu-img", "info", "-f", target_format, "--output=json", target], capture_output=True, text=True
    )
    if done.stderr:
        raise RuntimeError(done.stderr)
    print(json.loads(done.stdout)["virtual-size"], metadata["virtual-size"])


main(*sys.argv[1:])
