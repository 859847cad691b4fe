/** One rule as it is when no file says otherwise. */
export interface DefaultRule {
  readonly name: string;
  readonly rule: string;
  /** What the rule lets a caller do. */
  readonly lets: string;
}

const ADMIN = 'rule:context_is_admin';
const PROJECT_MEMBER = 'role:member and project_id:%(project_id)s';
const PROJECT_READER = 'role:reader and project_id:%(project_id)s';
const VISIBLE =
  "project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s";

const ADMIN_OR_MEMBER = `${ADMIN} or (${PROJECT_MEMBER})`;
const ADMIN_OR_READER = `${ADMIN} or (${PROJECT_READER})`;
const ADMIN_OR_READER_OF_SHARED = `${ADMIN} or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))`;
const ADMIN_OR_READER_OF_NAMESPACE = `${ADMIN} or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))`;
const SERVICE_OR_OWNER = `rule:service_api or (${PROJECT_MEMBER} and project_id:%(owner)s)`;

type Row = readonly [name: string, rule: string, lets: string];

const ROLES: readonly Row[] = [
  ['default', '', 'the rule that others name where everybody may'],
  ['context_is_admin', 'role:admin', 'see and change what belongs to others'],
  ['service_api', 'role:service or role:admin', 'do what only other services need'],
];

const IMAGES: readonly Row[] = [
  ['add_image', `${ADMIN} or (${PROJECT_MEMBER} and project_id:%(owner)s)`, 'make an image'],
  ['get_image', `${ADMIN} or (role:reader and (${VISIBLE}))`, 'see an image'],
  ['get_images', ADMIN_OR_READER, 'list images'],
  ['modify_image', ADMIN_OR_MEMBER, 'change an image, its properties and tags'],
  ['delete_image', ADMIN_OR_MEMBER, 'delete an image'],
  ['publicize_image', ADMIN, 'make an image public'],
  ['communitize_image', ADMIN_OR_MEMBER, 'make an image a community image'],
  ['download_image', `${ADMIN} or (role:member and (${VISIBLE}))`, 'download the data of an image'],
  ['upload_image', ADMIN_OR_MEMBER, 'upload the data of an image'],
  ['deactivate', ADMIN_OR_MEMBER, 'deactivate an image'],
  ['reactivate', ADMIN_OR_MEMBER, 'reactivate an image'],
  ['copy_image', ADMIN, 'copy an image to other stores'],
];

const LOCATIONS: readonly Row[] = [
  ['get_image_location', ADMIN_OR_READER, 'see where an image lies'],
  ['set_image_location', ADMIN_OR_MEMBER, 'say where an image lies'],
  ['delete_image_location', ADMIN, 'remove a location of an image'],
  ['add_image_location', SERVICE_OR_OWNER, 'add a location, by its own endpoint'],
  ['fetch_image_location', 'rule:service_api', 'read the locations, by their own endpoint'],
];

const MEMBERS: readonly Row[] = [
  ['add_member', ADMIN_OR_MEMBER, 'share an image with a project'],
  ['get_member', ADMIN_OR_READER_OF_SHARED, 'see one project that an image is shared with'],
  ['get_members', ADMIN_OR_READER_OF_SHARED, 'list the projects that an image is shared with'],
  ['modify_member', `${ADMIN} or (role:member and project_id:%(member_id)s)`, 'accept or reject a shared image'],
  ['delete_member', ADMIN_OR_MEMBER, 'end the sharing with a project'],
];

const TASKS: readonly Row[] = [
  ['tasks_api_access', ADMIN, 'use the task endpoints at all'],
  ['get_task', 'rule:default', 'see a task'],
  ['get_tasks', 'rule:default', 'list tasks'],
  ['add_task', 'rule:default', 'begin a task'],
  ['modify_task', 'rule:default', 'change a task; nothing asks for it'],
];

const OPERATION: readonly Row[] = [
  ['manage_image_cache', ADMIN, 'manage the cache by its former endpoints'],
  ['cache_image', ADMIN, 'bring an image into the cache'],
  ['cache_list', ADMIN, 'list the cache'],
  ['cache_delete', ADMIN, 'remove images from the cache'],
  ['cache_clean', ADMIN, 'remove what is of no use from the cache'],
  ['cache_prune', ADMIN, 'bring the cache down to its size'],
  ['list_cached_nodes', ADMIN, 'list the nodes that have an image in their cache'],
  ['stores_info_detail', `${ADMIN} or role:service`, 'see the details of stores'],
];

/** Rules of our own, for what the Images API does not have. */
const OWN: readonly Row[] = [
  ['convert_image', ADMIN_OR_MEMBER, 'convert an image in place'],
  ['inspect_image', ADMIN_OR_READER, 'have an image inspected, without a change'],
  ['cancel_import', ADMIN_OR_MEMBER, 'cancel a running import'],
];

/** What a namespace of metadata definitions holds: in rules, and in words. */
const METADEF_PARTS: readonly (readonly [name: string, one: string])[] = [
  ['namespace', 'a namespace'],
  ['object', 'an object of a namespace'],
  ['property', 'a property of a namespace'],
  ['tag', 'a tag of a namespace'],
];

const DEFINITIONS: readonly Row[] = [
  ['metadef_default', '', 'the rule of metadata definitions where everybody may'],
  ['metadef_admin', ADMIN, 'change metadata definitions'],
  ['get_metadef_namespaces', ADMIN_OR_READER, 'list namespaces'],
  ...METADEF_PARTS.map(([name, one]): Row => [`get_metadef_${name}`, ADMIN_OR_READER_OF_NAMESPACE, `see ${one}`]),
  ...['objects', 'properties', 'tags'].map((many): Row => [
    `get_metadef_${many}`,
    ADMIN_OR_READER_OF_NAMESPACE,
    `list the ${many} of a namespace`,
  ]),
  ['get_metadef_resource_type', ADMIN_OR_READER_OF_NAMESPACE, 'see the resource types of a namespace'],
  ['list_metadef_resource_types', ADMIN_OR_READER_OF_NAMESPACE, 'list resource types'],
  ...METADEF_PARTS.flatMap(([name, one]): Row[] => [
    [`add_metadef_${name}`, 'rule:metadef_admin', `add ${one}`],
    [`modify_metadef_${name}`, 'rule:metadef_admin', `change ${one}`],
  ]),
  ['add_metadef_tags', 'rule:metadef_admin', 'add many tags to a namespace'],
  ['delete_metadef_namespace', 'rule:metadef_admin', 'delete a namespace, or all objects or properties of it'],
  ['delete_metadef_object', 'rule:metadef_admin', 'delete an object of a namespace'],
  ['delete_metadef_tag', 'rule:metadef_admin', 'delete a tag of a namespace'],
  [
    'delete_metadef_tags',
    'rule:metadef_admin',
    'delete all tags of a namespace, together with delete_metadef_namespace',
  ],
  ['remove_metadef_property', 'rule:metadef_admin', 'delete a property of a namespace'],
  ['add_metadef_resource_type_association', 'rule:metadef_admin', 'bind a namespace to a resource type'],
  ['remove_metadef_resource_type_association', 'rule:metadef_admin', 'unbind a namespace from a resource type'],
];

/**
 * Every rule with the name and the default that operators know from Glance, and our own. docs.openstack.org, "Glance
 * policies" and "Secure RBAC".
 */
export const DEFAULT_RULES: readonly DefaultRule[] = [
  ...ROLES,
  ...IMAGES,
  ...LOCATIONS,
  ...MEMBERS,
  ...TASKS,
  ...OPERATION,
  ...OWN,
  ...DEFINITIONS,
].map(([name, rule, lets]) => ({ name, rule, lets }));
