/** Tasks of one project are one group: `max_workers_per_project` of them run at the same time. */
export function groupOf({ owner }: { readonly owner?: string | null }): { readonly group?: string } {
  return owner === null || owner === undefined ? {} : { group: owner };
}
