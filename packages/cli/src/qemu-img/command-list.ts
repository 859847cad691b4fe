/** A command: takes the arguments after its name, gives the exit code, throws a failure. */
export type RunCommand = (args: readonly string[]) => Promise<number>;

/** Every command; each is loaded when it is called, for start-up time counts. */
export const commandList: Readonly<Record<string, () => Promise<RunCommand>>> = {
  amend: async () => (await import('./commands/amend.ts')).amend,
  bitmap: async () => (await import('./commands/bitmap.ts')).bitmap,
  check: async () => (await import('./commands/check.ts')).check,
  commit: async () => (await import('./commands/commit.ts')).commit,
  compare: async () => (await import('./commands/compare.ts')).compare,
  convert: async () => (await import('./commands/convert.ts')).convert,
  create: async () => (await import('./commands/create.ts')).create,
  dd: async () => (await import('./commands/dd.ts')).dd,
  info: async () => (await import('./commands/info.ts')).info,
  map: async () => (await import('./commands/map.ts')).map,
  measure: async () => (await import('./commands/measure.ts')).measure,
  rebase: async () => (await import('./commands/rebase.ts')).rebase,
  resize: async () => (await import('./commands/resize.ts')).resize,
  snapshot: async () => (await import('./commands/snapshot.ts')).snapshot,
};
