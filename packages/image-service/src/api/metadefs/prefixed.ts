import type { AssociationRecord, PropertyDefinition } from '../../catalog/metadefs/definition.ts';
import type { NamespaceContent } from './documents.ts';

/** What is in a namespace as it is named on a resource of this type: properties bear the prefix of its association. */
export function prefixedFor(resourceType: string | undefined, content: NamespaceContent): NamespaceContent {
  const prefix = prefixFor(resourceType, content.associations);
  if (prefix === '') return content;
  return {
    ...content,
    properties: content.properties.map((property) => ({ ...property, name: `${prefix}${property.name}` })),
    objects: content.objects.map(({ document, ...object }) => ({
      ...object,
      document: {
        ...document,
        required: document.required.map((name) => `${prefix}${name}`),
        properties: prefixedNames(prefix, document.properties),
      },
    })),
  };
}

/** What comes before the names of properties on such a resource; nothing where the namespace is not for it. */
function prefixFor(resourceType: string | undefined, associations: readonly AssociationRecord[]): string {
  return associations.find(({ name }) => name === resourceType)?.prefix ?? '';
}

function prefixedNames(
  prefix: string,
  properties: Readonly<Record<string, PropertyDefinition>>,
): Readonly<Record<string, PropertyDefinition>> {
  return Object.fromEntries(Object.entries(properties).map(([name, definition]) => [`${prefix}${name}`, definition]));
}
