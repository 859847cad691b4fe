import type { ImageForm, ImageLocation } from '../catalog/image.ts';
import type { FilledStore, ImportInput, MadeForm, OtherForms } from './state.ts';

/** What is needed to say which file a store gets. */
export type FormsState = Pick<ImportInput, 'other_forms'> & OtherForms & MadeForm;

/** The file for a store: the one that it wants in another form than the rest, or the one of the rest. */
export function formFor(state: FormsState, storeId: string): MadeForm {
  const wanted = state.other_forms?.find(({ stores }) => stores.includes(storeId));
  if (wanted === undefined) return mainForm(state);
  const made = state.other_made?.[wanted.key];
  if (made === undefined) throw new Error(`assertion failed: the form ${wanted.key} is made before it is stored`);
  return made;
}

function mainForm(state: FormsState): MadeForm {
  const { file_path, converted, disk_format, container_format, size, virtual_size, checksum, os_hash_value } = state;
  return { file_path, converted, disk_format, container_format, size, virtual_size, checksum, os_hash_value };
}

/** All forms that were made, the one of the rest first. */
export function allForms(state: FormsState): readonly MadeForm[] {
  return [mainForm(state), ...Object.values(state.other_made ?? {})];
}

/**
 * What the image's record describes when these stores have it: the form of the first of them that has the main one, else
 * of the first.
 */
export function describedForm(state: FormsState, filled: readonly FilledStore[]): MadeForm {
  const main = mainForm(state);
  const forms = filled.map(({ store }) => formFor(state, store));
  return forms.find((form) => isSameForm(form, main)) ?? forms[0] ?? main;
}

/** The locations of the filled stores, each with what it holds where that is not `described`. */
export function locationsOf(
  state: FormsState,
  filled: readonly FilledStore[],
  described: MadeForm,
): readonly ImageLocation[] {
  return filled.map(({ store, location }) => {
    const form = formFor(state, store);
    return isSameForm(form, described) ? { store, location } : { store, location, form: imageForm(form) };
  });
}

function isSameForm(one: MadeForm, other: MadeForm): boolean {
  return one.disk_format === other.disk_format && one.os_hash_value === other.os_hash_value;
}

/** The form as the catalogue keeps it. */
export function imageForm(form: MadeForm): ImageForm {
  return {
    diskFormat: form.disk_format,
    containerFormat: form.container_format,
    size: form.size,
    virtualSize: form.virtual_size,
    checksum: form.checksum,
    osHashAlgo: 'sha512',
    osHashValue: form.os_hash_value,
  };
}
