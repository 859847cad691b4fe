import type { Step, StepContext } from '../flow/step.ts';
import { ImportError } from './errors.ts';
import { readerOf } from './format-table.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import type { Converted, ImportInput } from './state.ts';

/** What the task records when the option is unset. */
export const NOT_CONVERTED_UNSET = 'not converted: conversion_format is not set';
/** What the log says then, once in the life of a process. */
export const UNSET_WARNING =
  'The conversion format is None, please add a value for it in the config file for this task to work';

/** What the conversion needs; the rest of the import's state does not concern it. */
export type ConvertInput = Pick<ImportInput, 'image_id' | 'conversion_format' | 'conversion_options'> & {
  readonly file_path: string;
};

/** Warns about the unset option, the first time only. */
export type WarnUnset = () => void;

/** A warning that is given once however often it is asked for. */
export function warnOnce(log: (message: string) => void): WarnUnset {
  let warned = false;
  return () => {
    if (!warned) log(UNSET_WARNING);
    warned = true;
  };
}

/**
 * Converts the file to the wanted format. The source is read as the record's `disk_format` says, never as its content
 * looks (CVE-2015-5162); nothing that a header names is opened. The source stays until the whole import has ended.
 */
export function convertStep<T>(
  parts: ImportParts<T>,
  of: StageOf,
  warnUnset: WarnUnset,
): Step<ConvertInput, Converted> {
  const paths = conversionPaths(parts, of);
  return {
    name: stageName('Convert', of),
    async execute(input, context) {
      const image = await of.imageRepo.get(input.image_id);
      const declared = image.diskFormat ?? '';
      const unchanged = unconverted(input.file_path, declared, image.containerFormat ?? 'bare');
      const wanted = input.conversion_format;
      if (wanted === null) {
        warnUnset();
        context.warn(NOT_CONVERTED_UNSET);
        return { ...unchanged, conversion_note: NOT_CONVERTED_UNSET };
      }
      if (declared === 'iso') return { ...unchanged, conversion_note: 'not converted: an ISO image stays as it is' };
      const reader = readerFor(declared, parts.tools.readable);
      if (reader === wanted) return { ...unchanged, conversion_note: `not converted: the image is ${wanted} already` };
      return runConversion(parts, { input, reader, wanted, context, ...(await paths(input)) });
    },
    async revert(input) {
      const { target, checkpointDir } = await paths(input);
      await parts.staging.discard(target);
      await parts.staging.discard(checkpointDir);
    },
  };
}

interface ConversionPaths {
  readonly target: string;
  readonly checkpointDir: string;
}

function conversionPaths<T>(parts: ImportParts<T>, of: StageOf): (input: ConvertInput) => Promise<ConversionPaths> {
  return async ({ image_id: imageId }) => ({
    target: await parts.staging.pathOf(of.taskId, `${imageId}.converted`),
    checkpointDir: await parts.staging.pathOf(of.taskId, `${imageId}.checkpoints`),
  });
}

function unconverted(path: string, diskFormat: string, containerFormat: string): Converted {
  return {
    file_path: path,
    converted: false,
    disk_format: diskFormat,
    container_format: containerFormat,
    content: null,
    resumed_from: 0,
    conversion_note: '',
  };
}

/** The reader for a declared format. Throws `not_convertible` when there is none. */
export function readerFor(declared: string, readable: readonly string[]): string {
  const reader = readerOf(declared);
  if (reader !== undefined && readable.includes(reader)) return reader;
  throw new ImportError('not_convertible', `Images of the disk_format "${declared}" cannot be converted`);
}

interface RunningConversion extends ConversionPaths {
  readonly input: ConvertInput;
  readonly reader: string;
  readonly wanted: string;
  readonly context: StepContext;
}

async function runConversion<T>(parts: ImportParts<T>, running: RunningConversion): Promise<Converted> {
  const { tools, staging } = parts;
  const { input, reader, wanted, target, checkpointDir } = running;
  const { jobId, signal, report } = running.context;
  const conversion = {
    source: { path: input.file_path, format: reader },
    target: { path: target, format: wanted, options: input.conversion_options },
  };
  try {
    const { spaceBytes } = await tools.forecast(conversion, { signal });
    await staging.reserve(jobId, spaceBytes);
    const onBytes = inPhase('convert', report);
    const { contentId, virtualSize, resumedFromBytes } = await tools.convert(conversion, {
      checkpointDir,
      signal,
      onBytes,
    });
    return {
      file_path: target,
      converted: true,
      disk_format: wanted,
      container_format: 'bare',
      content: { id: contentId, size: virtualSize },
      resumed_from: resumedFromBytes,
      conversion_note: '',
    };
  } finally {
    staging.release(jobId);
  }
}
