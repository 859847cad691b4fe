import { stat } from 'node:fs/promises';
import type { Step, StepContext } from '../flow/step.ts';
import { ImportError } from './errors.ts';
import { readerOf } from './format-table.ts';
import type { ToolConversion } from './image-tools.ts';
import type { ResultBytes } from './promised-room.ts';
import { exactly, forecastBytes } from './promised-room.ts';
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

/** What is done beside a conversion. */
export interface ConvertSurroundings<Input> {
  readonly warnUnset: WarnUnset;
  /** Gets what the result will take before it is made; throws when there is no room for that. */
  readonly promise?: (input: Input, result: ResultBytes, context: StepContext) => Promise<void>;
}

/**
 * Converts the file to the wanted format. The source is read as the record's `disk_format` says, never as its content
 * looks (CVE-2015-5162); nothing that a header names is opened. The source stays until the whole import has ended.
 */
export function convertStep<T, Input extends ConvertInput>(
  parts: ImportParts<T>,
  of: StageOf,
  { warnUnset, promise }: ConvertSurroundings<Input>,
): Step<Input, Converted> {
  const conversion = imageConversion(parts, of, '');
  return {
    name: stageName('Convert', of),
    async execute(input, context) {
      const plan = await conversion.plan(input, context);
      await promise?.(input, plan.result, context);
      const converted = await conversion.run(plan, context);
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
    async execute(input, context) {
      const plan = await conversion.plan(otherInput(input, form), context);
      const { other_converted } = input;
      return { other_converted: { ...other_converted, [form.key]: await conversion.run(plan, context) } };
    },
    revert: ({ image_id: imageId }) => conversion.undo(imageId),
  };
}

function otherInput(
  { image_id, described, image_path, source_path }: ConvertOtherInput,
  { conversion_format, conversion_options }: WantedForm,
): ConvertInput {
  const file = { image_id, file_path: image_path ?? source_path, conversion_format, conversion_options };
  return described === undefined ? file : { ...file, described };
}

/** What a further form will take; reads tables and writes nothing. */
export async function forecastOther<T>(
  parts: ImportParts<T>,
  of: StageOf,
  {
    form,
    input,
    context,
  }: { readonly form: WantedForm; readonly input: ConvertOtherInput; readonly context: StepContext },
): Promise<ResultBytes> {
  return (await imageConversion(parts, of, `-${form.key}`).plan(otherInput(input, form), context)).result;
}

/** What is to be done with an image, and what the result will take. */
type ConversionPlan = { readonly result: ResultBytes } & (
  | { readonly kept: Converted }
  | { readonly conversion: ToolConversion; readonly checkpointDir: string; readonly spaceBytes: number }
);

interface ImageConversion {
  /** Reads tables and writes nothing. */
  plan(input: ConvertInput, context: StepContext): Promise<ConversionPlan>;
  run(plan: ConversionPlan, context: StepContext): Promise<Converted>;
  undo(imageId: string): Promise<void>;
}

/** `suffix` tells the files of several conversions of one image apart. */
function imageConversion<T>(parts: ImportParts<T>, of: StageOf, suffix: string): ImageConversion {
  const { staging, tools } = parts;
  const pathsOf = async (imageId: string): Promise<ConversionPaths> => ({
    target: await staging.pathOf(of.taskId, `${imageId}.converted${suffix}`),
    checkpointDir: await staging.pathOf(of.taskId, `${imageId}.checkpoints${suffix}`),
  });
  return {
    async plan(input, { signal }) {
      const { diskFormat: declared, containerFormat } = await declaredFormats(of, input);
      const { file_path: path, conversion_format: wanted, conversion_options: options } = input;
      const keep = async (note: string): Promise<ConversionPlan> => ({
        kept: { ...unconverted(path, declared, containerFormat), conversion_note: note },
        result: exactly((await stat(path)).size),
      });
      if (wanted === null) return keep('');
      if (declared === 'iso') return keep('not converted: an ISO image stays as it is');
      const reader = readerFor(declared, tools.readable);
      if (reader === wanted && input.same_format === undefined) {
        return keep(`not converted: the image is ${wanted} already`);
      }
      const { target, checkpointDir } = await pathsOf(input.image_id);
      const conversion = { source: { path, format: reader }, target: { path: target, format: wanted, options } };
      const forecast = await tools.forecast(conversion, { signal });
      return { conversion, checkpointDir, spaceBytes: forecast.spaceBytes, result: forecastBytes(forecast) };
    },
    run: async (plan, context) => ('kept' in plan ? plan.kept : runConversion(parts, plan, context)),
    async undo(imageId) {
      const { target, checkpointDir } = await pathsOf(imageId);
      await staging.discard(target);
      await staging.discard(checkpointDir);
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

async function runConversion<T>(
  { tools, staging }: ImportParts<T>,
  { conversion, checkpointDir, spaceBytes }: Exclude<ConversionPlan, { readonly kept: Converted }>,
  { jobId, signal, report }: StepContext,
): Promise<Converted> {
  const { target } = conversion;
  try {
    await staging.reserve(jobId, spaceBytes, { signal });
    const onBytes = inPhase('convert', report);
    const { contentId, virtualSize, resumedFromBytes } = await tools.convert(conversion, {
      checkpointDir,
      signal,
      onBytes,
    });
    return {
      file_path: target.path,
      converted: true,
      disk_format: target.format,
      container_format: 'bare',
      content: { id: contentId, size: virtualSize },
      resumed_from: resumedFromBytes,
      conversion_note: '',
    };
  } finally {
    await staging.release(jobId);
  }
}
