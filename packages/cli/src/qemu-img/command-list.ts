/** A command: takes the arguments after its name, gives the exit code, throws a failure. */
export type RunCommand = (args: readonly string[]) => Promise<number>;

/** Every command; each is loaded when it is called, for start-up time counts. */
export const commandList: Readonly<Record<string, () => Promise<RunCommand>>> = {
  convert: async () => (await import('./commands/convert.ts')).convert,
  info: async () => (await import('./commands/info.ts')).info,
};
