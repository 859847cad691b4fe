import { stat } from 'node:fs/promises';
import type { Step, StepContext } from '../flow/step.ts';
import { ImportError } from './errors.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import type { Converted, ImportInput, Inspected, MadeForm, OtherForms, Staged, Verified, WantedForm } from './state.ts';

/** All that is known when there is a result to verify. */
export type VerifyInput = ImportInput & Staged & Inspected & Converted;

/**
 * Makes sure of the result: it is of the wanted format and nothing else, it holds the guest bytes that were read from the
 * source, and its digests are known before it is stored. Metadata comes from the known target, never from guessing.
 */
export function verifyStep<T>(parts: ImportParts<T>, of: StageOf): Step<VerifyInput, Verified> {
  return {
    name: stageName('Verify', of),
    async execute(input, context) {
      const virtualSize = await verifiedSize(parts, input, context);
      const { source_hash, ...digests } = await digestsOf(parts, input, context);
      const { size } = await stat(input.file_path);
      return { size, virtual_size: virtualSize, ...digests, source_hash, filled_stores: [], failed_stores: [] };
    },
  };
}

/** What the step of a further form needs. */
export type VerifyOtherInput = Pick<Inspected, 'source_virtual_size'> & OtherForms;

/** The same of a further form. */
export function verifyOtherStep<T>(
  parts: ImportParts<T>,
  of: StageOf,
  { key }: WantedForm,
): Step<VerifyOtherInput, OtherForms> {
  return {
    name: `${stageName('Verify', of)}-${key}`,
    async execute({ source_virtual_size, other_converted, other_made }, context) {
      const result = other_converted?.[key];
      if (result === undefined) throw new Error(`assertion failed: the form ${key} is converted before it is verified`);
      const made = await madeForm(parts, { ...result, source_virtual_size }, context);
      return { other_made: { ...other_made, [key]: made } };
    },
  };
}

/** A file that may be the result of a conversion. */
export type PossibleResult = Converted & Pick<Inspected, 'source_virtual_size'>;

/** Verifies the file if it was converted, and gives all that is to be known of it. */
export async function madeForm<T>(
  parts: ImportParts<T>,
  result: PossibleResult,
  context: StepContext,
): Promise<MadeForm> {
  const { file_path, converted, disk_format, container_format } = result;
  const virtualSize = await verifiedSize(parts, result, context);
  const { signal, report } = context;
  const onBytes = inPhase('hash', report);
  const { md5, sha512 } = await parts.staging.hash(file_path, ['md5', 'sha512'], { signal, onBytes });
  const { size } = await stat(file_path);
  const digests = { checksum: md5, os_hash_value: sha512 };
  return { file_path, converted, disk_format, container_format, size, virtual_size: virtualSize, ...digests };
}

/** Gives the virtual size of the file; of a result after it was verified. */
async function verifiedSize<T>(
  parts: ImportParts<T>,
  result: PossibleResult,
  { signal, report }: StepContext,
): Promise<number> {
  if (!result.converted) return result.source_virtual_size;
  const { tools, settings } = parts;
  const { file_path: path, disk_format: format, content } = result;
  // A target may round the size of the disk up.
  const maxVirtualSize = settings.maxVirtualSize + 2 ** 30;
  const verdict = await tools.inspect(path, { declared: format, maxVirtualSize, signal });
  if (verdict.format !== format) {
    throw new ImportError(
      'format_mismatch',
      `The result of the conversion to ${format} is detected as ${verdict.format}`,
    );
  }
  const unsafe = verdict.findings.find((finding) => finding.severity === 'unsafe');
  if (unsafe !== undefined) throw new ImportError('unsafe_image', `The result is not safe: ${unsafe.message}`);
  if (content === null) throw new Error('assertion failed: what was converted has a content id');
  const expected = { contentId: content.id, virtualSize: content.size };
  await tools.verify({ path, format }, expected, { signal, onBytes: inPhase('verify', report) });
  return verdict.virtualSize ?? content.size;
}

interface Digests {
  readonly checksum: string;
  readonly os_hash_value: string;
  readonly source_hash: string;
}

/** The digests of result and source, all at the same time: each is bound by one processor. */
async function digestsOf<T>({ staging }: ImportParts<T>, input: VerifyInput, context: StepContext): Promise<Digests> {
  const { signal } = context;
  const isChanged = input.file_path !== input.source_path;
  const parts = reportedTogether(inPhase('hash', context.report), isChanged ? 2 : 1);
  const result = staging.hash(input.file_path, ['md5', 'sha512'], { signal, onBytes: parts(0) });
  if (!isChanged) {
    const { md5, sha512 } = await result;
    return { checksum: md5, os_hash_value: sha512, source_hash: sha512 };
  }
  const source = staging.hash(input.source_path, ['sha512'], { signal, onBytes: parts(1) });
  const [{ md5, sha512 }, { sha512: sourceHash }] = await Promise.all([result, source]);
  return { checksum: md5, os_hash_value: sha512, source_hash: sourceHash };
}

/** Reports several pieces of work as one: their bytes added up, once each has said how many it has. */
function reportedTogether(
  report: (done: number, total: number) => void,
  count: number,
): (piece: number) => (done: number, total: number) => void {
  const pieces = new Map<number, { readonly done: number; readonly total: number }>();
  const sum = (of: 'done' | 'total'): number => [...pieces.values()].reduce((all, piece) => all + piece[of], 0);
  return (piece) => (done, total) => {
    pieces.set(piece, { done, total });
    if (pieces.size === count) report(sum('done'), sum('total'));
  };
}
