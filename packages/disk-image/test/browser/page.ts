/** The core as a page uses it: a file from the user goes in, an image in another format comes out, nothing is uploaded. */
import {
  blobSource,
  convertInMemory,
  denyReferences,
  formats,
  ImageError,
  inspect,
  memorySource,
  portableCodecs as codecs,
} from '@diskmorph/disk-image';

/** What the test asks of the page, and what it gets: plain data. */
export interface PageAnswer {
  readonly verdict: string;
  readonly steps: readonly { readonly format: string; readonly contentId: string; readonly bytes: readonly number[] }[];
  readonly errorCode: string;
}

async function convertSample(url: string): Promise<PageAnswer> {
  const file = await (await fetch(url)).blob();
  const verdict = await inspect(blobSource(file), { codecs, formats });
  const steps: PageAnswer['steps'][number][] = [];
  let current = { name: 'qcow2', source: blobSource(file) };
  for (const [name, options] of [
    ['vmdk', { subformat: 'streamOptimized' }],
    ['qcow2', { compression: 'zlib' }],
    ['raw', {}],
  ] as const) {
    const source = await formatNamed(current.name).open?.(current.source, { codecs, references: denyReferences });
    if (source === undefined) throw new Error(`${current.name} cannot be read`);
    const { files, contentId } = await convertInMemory({ source, target: formatNamed(name), options, codecs });
    const bytes = [...files.values()][0] ?? new Uint8Array();
    steps.push({
      format: name,
      contentId,
      bytes: [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.slice()))],
    });
    current = { name, source: memorySource(bytes) };
  }
  return { verdict: verdict.verdict, steps, errorCode: await errorCodeOf(file.slice(0, 70_000)) };
}

async function errorCodeOf(cut: Blob): Promise<string> {
  try {
    const image = await formatNamed('qcow2').open?.(blobSource(cut), { codecs, references: denyReferences });
    await image?.read(0, new Uint8Array(image.virtualSize));
    return 'none';
  } catch (error) {
    return error instanceof ImageError ? error.code : String(error);
  }
}

function formatNamed(name: string): (typeof formats)[number] {
  const format = formats.find((known) => known.name === name);
  if (format === undefined) throw new Error(`no format ${name}`);
  return format;
}

Object.assign(globalThis, { convertSample });
