/** A command: takes the arguments after its name, gives the exit code, throws a failure. */
export type RunCommand = (args: readonly string[]) => Promise<number>;

/** Every command; each is loaded when it is called, for start-up time counts. */
export const commandList: Readonly<Record<string, () => Promise<RunCommand>>> = {
  check: async () => (await import('./commands/check.ts')).check,
  compare: async () => (await import('./commands/compare.ts')).compare,
  convert: async () => (await import('./commands/convert.ts')).convert,
  create: async () => (await import('./commands/create.ts')).create,
  dd: async () => (await import('./commands/dd.ts')).dd,
  info: async () => (await import('./commands/info.ts')).info,
  map: async () => (await import('./commands/map.ts')).map,
  measure: async () => (await import('./commands/measure.ts')).measure,
};
