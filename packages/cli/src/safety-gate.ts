import type { Finding, Verdict } from '@diskmorph/disk-image';
import { inspectFile, placeOf } from '@diskmorph/disk-image-node';
import { EXIT_BY_ERROR_CODE } from './exit-code.ts';
import { ToldError } from './failure.ts';
import { findingLines } from './finding-text.ts';
import type { SourceImage } from './source-image.ts';
import type { Terminal } from './terminal/terminal.ts';

/** What `--allow-references` stands for: what is named is judged file by file when it is opened. */
const REFERENCE_CODES: readonly string[] = ['backing-file', 'data-file', 'foreign-extent', 'differencing-parent'];

/** What the user takes upon himself. */
export interface Allowed {
  /** Codes of `--allow`. */
  readonly codes: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * Inspects the source before its bytes are used: findings of severity `unsafe` that nobody allowed are listed and stop the
 * command with `unsafe`. Gives the verdict.
 */
export async function passSafetyGate(source: SourceImage, allowed: Allowed, terminal: Terminal): Promise<Verdict> {
  const { file, detected } = source;
  const declared = detected ? {} : { declared: file.format };
  const { path, ...part } = placeOf(file);
  const name = source.packed === undefined ? {} : { fileName: source.packed.name ?? '' };
  const verdict = await inspectFile(path, { ...declared, ...part, ...name, signal: allowed.signal });
  const references = (file.references?.directories.length ?? 0) > 0 ? REFERENCE_CODES : [];
  const accepted = new Set([...allowed.codes, ...references]);
  const stopping = verdict.findings.filter((finding) => finding.severity === 'unsafe' && !accepted.has(finding.code));
  if (stopping.length === 0) return verdict;
  for (const line of findingLines(stopping, terminal.noteStyle, terminal.width())) terminal.note(`${line}\n`);
  throw refusal(stopping);
}

function refusal(stopping: readonly Finding[]): ToldError {
  const codes = [...new Set(stopping.map((finding) => finding.code))];
  const [first] = stopping;
  const message =
    stopping.length === 1 && first !== undefined
      ? `The image is not safe to use: ${first.code}`
      : `The image is not safe to use: ${codes.join(', ')}`;
  const byReference = codes.every((code) => REFERENCE_CODES.includes(code));
  const advice = byReference
    ? 'if you trust the image, --allow-references DIR lets it name files below DIR'
    : `if you know that it is harmless, ${codes.map((code) => `--allow ${code}`).join(' ')} goes on all the same`;
  return new ToldError({ code: 'unsafe', message, advice, exitCode: EXIT_BY_ERROR_CODE.unsafe });
}
