import type { RawParts } from '../src/main.ts';
import { ImportFailedError } from '../src/import/service.ts';
import { StoreError } from '../src/store/store.ts';

/** Overrides: everything becomes qcow2. */
export const TO_QCOW2: Readonly<Record<string, string>> = { 'taskflow_executor.conversion_format': 'qcow2' };
/** Overrides: everything becomes raw. */
export const TO_RAW: Readonly<Record<string, string>> = { 'taskflow_executor.conversion_format': 'raw' };

/** Replaces methods of the tools. */
export function withTools(tools: Partial<RawParts['tools']>): (parts: RawParts) => RawParts {
  return (parts) => ({ ...parts, tools: { ...parts.tools, ...tools } });
}

/** A store whose `put` writes half of the bytes, then fails. */
export function withBrokenStore(...ids: string[]): (parts: RawParts) => RawParts {
  return (parts) => ({
    ...parts,
    stores: new Map(
      Array.from(parts.stores, ([id, store]) => {
        const put = async (): Promise<never> => {
          throw new StoreError('io', `Store "${id}": the image could not be stored: the disk is full`);
        };
        return [id, ids.includes(id) ? { ...store, put } : store];
      }),
    ),
  });
}

/** The failure of an import; throws when it did not fail as a task. */
export async function failureOf(work: Promise<unknown>): Promise<ImportFailedError> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  if (error instanceof ImportFailedError) return error;
  throw error;
}
