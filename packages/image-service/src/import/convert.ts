import type { Step, StepContext } from '../flow/step.ts';
import { ImportError } from './errors.ts';
import { readerOf } from './format-table.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { inPhase, stageName } from './stage-context.ts';
import type { Converted, ImportInput, OtherForms, Staged, WantedForm } from './state.ts';

/** What the task records when the option is unset. */
export const NOT_CONVERTED_UNSET = 'not converted: conversion_format is not set';
/** What the log says then, once in the life of a process. */
export const UNSET_WARNING =
  'The conversion format is None, please add a value for it in the config file for this task to work';

/** What the conversion needs; the rest of the import's state does not concern it. */
export type ConvertInput = Pick<ImportInput, 'image_id' | 'conversion_format' | 'conversion_options' | 'same_format'> &
  Pick<Staged, 'described'> & { readonly file_path: string };

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
  const conversion = imageConversion(parts, of, '');
  return {
    name: stageName('Convert', of),
    async execute(input, context) {
      const converted = await conversion.run(input, context);
      // Elsewhere it is the plugins that say whether there is a conversion.
      if (input.conversion_format !== null || of.taskType !== 'import') return converted;
      warnUnset();
      context.warn(NOT_CONVERTED_UNSET);
      return { ...converted, conversion_note: NOT_CONVERTED_UNSET };
    },
    revert: ({ image_id: imageId }) => conversion.undo(imageId),
  };
}

/** What the step of a further form needs. */
export type ConvertOtherInput = Pick<ImportInput, 'image_id'> &
  Pick<Staged, 'described' | 'image_path' | 'source_path'> &
  OtherForms;

/** Converts the image that came once more, for the stores that want this form. */
export function convertOtherStep<T>(
  parts: ImportParts<T>,
  of: StageOf,
  form: WantedForm,
): Step<ConvertOtherInput, OtherForms> {
  const conversion = imageConversion(parts, of, `-${form.key}`);
  return {
    name: `${stageName('Convert', of)}-${form.key}`,
    async execute({ image_path, source_path, other_converted, ...input }, context) {
      const { conversion_format, conversion_options } = form;
      const image = { ...input, file_path: image_path ?? source_path, conversion_format, conversion_options };
      return { other_converted: { ...other_converted, [form.key]: await conversion.run(image, context) } };
    },
    revert: ({ image_id: imageId }) => conversion.undo(imageId),
  };
}

interface ImageConversion {
  run(input: ConvertInput, context: StepContext): Promise<Converted>;
  undo(imageId: string): Promise<void>;
}

/** `suffix` tells the files of several conversions of one image apart. */
function imageConversion<T>(parts: ImportParts<T>, of: StageOf, suffix: string): ImageConversion {
  const pathsOf = async (imageId: string): Promise<ConversionPaths> => ({
    target: await parts.staging.pathOf(of.taskId, `${imageId}.converted${suffix}`),
    checkpointDir: await parts.staging.pathOf(of.taskId, `${imageId}.checkpoints${suffix}`),
  });
  return {
    async run(input, context) {
      const { diskFormat: declared, containerFormat } = await declaredFormats(of, input);
      const unchanged = unconverted(input.file_path, declared, containerFormat);
      const wanted = input.conversion_format;
      if (wanted === null) return unchanged;
      if (declared === 'iso') return { ...unchanged, conversion_note: 'not converted: an ISO image stays as it is' };
      const reader = readerFor(declared, parts.tools.readable);
      if (reader === wanted && input.same_format === undefined) {
        return { ...unchanged, conversion_note: `not converted: the image is ${wanted} already` };
      }
      return runConversion(parts, { input, reader, wanted, context, ...(await pathsOf(input.image_id)) });
    },
    async undo(imageId) {
      const { target, checkpointDir } = await pathsOf(imageId);
      await parts.staging.discard(target);
      await parts.staging.discard(checkpointDir);
    },
  };
}

/** What the image is declared to be: by the service that it came from, else by its record. */
export async function declaredFormats(
  of: StageOf,
  { image_id: imageId, described }: Pick<ConvertInput, 'image_id' | 'described'>,
): Promise<{ readonly diskFormat: string; readonly containerFormat: string }> {
  if (described !== undefined) {
    return { diskFormat: described.disk_format, containerFormat: described.container_format };
  }
  const { diskFormat, containerFormat } = await of.imageRepo.get(imageId);
  return { diskFormat: diskFormat ?? '', containerFormat: containerFormat ?? 'bare' };
}

interface ConversionPaths {
  readonly target: string;
  readonly checkpointDir: string;
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
    await staging.reserve(jobId, spaceBytes, { signal });
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
