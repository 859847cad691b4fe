import type { Verdict } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import type { Step, StepContext } from '../flow/step.ts';
import { declaredFormats } from './convert.ts';
import { ImportError } from './errors.ts';
import { readerOf } from './format-table.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { stageName } from './stage-context.ts';
import type { ImportInput, Inspected, Staged } from './state.ts';
import { conversionsOf } from './wanted-stores.ts';

/** Holds the content against what was declared, and against the rules of safety. Changes nothing; whatever is doubtful is refused. */
export function inspectStep<T>(parts: ImportParts<T>, of: StageOf): Step<ImportInput & Staged, Inspected> {
  const { tools, settings } = parts;
  return {
    name: stageName('Inspect', of),
    async execute(input, context) {
      const { diskFormat: declared } = await declaredFormats(of, input);
      const { maxVirtualSize } = settings;
      const verdict = await inspected(() =>
        tools.inspect(input.file_path, { declared, maxVirtualSize, signal: context.signal }),
      );
      const mismatchAllowed = !settings.requireFormatMatch && !willConvert(declared, input);
      judge(verdict, { declared, mismatchAllowed, settings, context });
      return {
        source_format: declared,
        is_iso: declared === 'iso',
        source_virtual_size: verdict.virtualSize ?? verdict.fileSize,
      };
    },
  };
}

/** An inspector that fails has not found the image safe. */
async function inspected(inspect: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await inspect();
  } catch (error) {
    if (error instanceof ImageError && (error.code === 'io' || error.code === 'aborted')) throw error;
    if (error instanceof ImportError || (error instanceof Error && error.name === 'AbortError')) throw error;
    throw new ImportError('unsafe_image', 'The image could not be inspected, so it is not known to be safe');
  }
}

function willConvert(declared: string, input: ImportInput): boolean {
  return declared !== 'iso' && conversionsOf(input).some((format) => readerOf(declared) !== format);
}

interface Judgement {
  readonly declared: string;
  readonly mismatchAllowed: boolean;
  readonly settings: { readonly vmdkAllowedTypes: readonly string[]; readonly maxVirtualSize: number };
  readonly context: Pick<StepContext, 'warn'>;
}

/** Throws `format_mismatch` or `unsafe_image` for what may not come in; warns of what is doubtful. */
export function judge(verdict: Verdict, judgement: Judgement): void {
  const { declared, settings, context } = judgement;
  refuseOversize(verdict, settings.maxVirtualSize);
  const mismatch = mismatchOf(verdict, declared);
  if (mismatch !== undefined) {
    if (!judgement.mismatchAllowed) throw new ImportError('format_mismatch', `Image format mismatch: ${mismatch}`);
    context.warn(`Image format mismatch: ${mismatch}`);
  }
  const several = verdict.findings.find((finding) => finding.code === 'several-formats');
  if (several !== undefined) throw new ImportError('format_mismatch', `Image format mismatch: ${several.message}`);
  const reference = verdict.info?.backing ?? verdict.info?.references[0];
  if (reference !== undefined) {
    throw new ImportError(
      'unsafe_image',
      `The image refers to another file (${reference.kind}), which is never allowed`,
    );
  }
  if (verdict.format === 'vmdk') refuseVmdkType(verdict.subformat, settings.vmdkAllowedTypes);
  for (const finding of verdict.findings) {
    if (finding.code === 'format-mismatch') continue;
    if (finding.severity === 'unsafe') throw new ImportError('unsafe_image', finding.message);
    if (finding.severity === 'warning') context.warn(finding.message);
  }
}

function refuseOversize(verdict: Verdict, maxVirtualSize: number): void {
  const size = verdict.virtualSize ?? 0;
  if (size <= maxVirtualSize) return;
  throw new ImportError(
    'unsafe_image',
    `The disk has ${size} bytes for its guest, at most ${maxVirtualSize} are accepted`,
  );
}

/** How the content differs from what was declared; undefined when it does not. A partition table makes a disk no less raw. */
function mismatchOf(verdict: Verdict, declared: string): string | undefined {
  const isIso = verdict.contents?.kind === 'iso9660' && verdict.format === 'raw';
  if (declared === 'iso') return isIso ? undefined : `declared as iso, but the content is ${verdict.format}`;
  if (isIso) return `declared as ${declared}, but the content is iso`;
  const expected = readerOf(declared) ?? 'raw';
  if (verdict.format !== expected) return `declared as ${declared}, but the content is ${verdict.format}`;
  const found = verdict.findings.find((finding) => finding.code === 'format-mismatch' && finding.severity === 'unsafe');
  return found?.message;
}

function refuseVmdkType(subformat: string | undefined, allowed: readonly string[]): void {
  if (subformat !== undefined && allowed.includes(subformat)) return;
  throw new ImportError('unsafe_image', `The VMDK create type ${subformat ?? '(none)'} is not allowed`);
}
