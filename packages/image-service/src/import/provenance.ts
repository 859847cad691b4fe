import { PROVENANCE_PROPERTIES } from '../catalog/image.ts';

/** What is kept of the source of an image. */
export interface Provenance {
  /** What came, where something else is stored: its declared disk_format, its bytes, their SHA-512 in hex. */
  readonly source?: { readonly format: string; readonly size: number; readonly sha512: string };
  /** The machine on the internet that it came from. */
  readonly host?: string;
}

/** The properties with this provenance, and none that was there before. */
export function withProvenance(
  properties: Readonly<Record<string, string>>,
  { source, host }: Provenance,
): Readonly<Record<string, string>> {
  const others = Object.entries(properties).filter(([name]) => !PROVENANCE_PROPERTIES.includes(name));
  return {
    ...Object.fromEntries(others),
    ...(source === undefined
      ? {}
      : {
          source_format: source.format,
          source_size: String(source.size),
          source_hash: `sha512:${source.sha512}`,
        }),
    ...(host === undefined ? {} : { source_host: host }),
  };
}
