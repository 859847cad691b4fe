import type { XmlElement } from '../../bytes/xml.ts';
import { childOf, parseXml } from '../../bytes/xml.ts';
import { dmgError } from './dmg-error.ts';

/** A partition has a block table of its own: thousands of elements are far more than any disk needs. */
const LIMITS = { maxElements: 200_000, maxDepth: 32 };

/**
 * The block tables of the property list `resource-fork` / `blkx`, each the bytes of one `Data`. Throws `corrupt`, `unsafe`.
 * Apple's property list DTD; the keramics documentation, "Universal Disk Image Format (UDIF)", "XML plist".
 */
export function blockTablesOfPropertyList(bytes: Uint8Array): readonly Uint8Array[] {
  const root = parseXml(bytes, LIMITS);
  const blocks = valueOf(valueOf(childOf(root, 'dict'), 'resource-fork'), 'blkx');
  if (blocks?.name !== 'array') throw dmgError('corrupt', 'The property list has no block tables', 'property list');
  return blocks.children.map((entry) => {
    const data = valueOf(entry, 'Data');
    if (data?.name !== 'data') throw dmgError('corrupt', 'A block table has no data', 'property list');
    return base64Bytes(data.text);
  });
}

/** The value of a key of a `dict`: keys and values alternate. */
function valueOf(dict: XmlElement | undefined, key: string): XmlElement | undefined {
  if (dict?.name !== 'dict') return undefined;
  const at = dict.children.findIndex((child) => child.name === 'key' && child.text === key);
  return at < 0 ? undefined : dict.children[at + 1];
}

function base64Bytes(text: string): Uint8Array {
  try {
    const characters = atob(text);
    const bytes = new Uint8Array(characters.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
    return bytes;
  } catch (error) {
    throw dmgError('corrupt', 'A block table is not in base64', 'property list', { cause: error });
  }
}
