import type { ErrorObject, ValidateFunction } from 'ajv';
import { Ajv } from 'ajv';
import { badRequest } from './http-error.ts';
import type { JsonSchema } from './image-schema.ts';

/** Checks a document against a schema as it is served. Throws 400 with the first thing that is wrong. */
export type SchemaCheck = (document: unknown) => void;

/** The check for one schema. */
export function schemaCheck(schema: JsonSchema): SchemaCheck {
  const { name, links: _links, ...rules } = schema;
  const ajv = new Ajv({ allErrors: false, strict: false, validateFormats: false });
  const validate: ValidateFunction = ajv.compile({ type: 'object', ...rules });
  return (document) => {
    if (validate(document)) return;
    throw badRequest(`Provided object does not match schema '${String(name)}': ${reasonOf(validate.errors?.[0])}`);
  };
}

function reasonOf(error: ErrorObject | undefined): string {
  if (error === undefined) return 'it is not valid';
  const where = error.instancePath.slice(1).replaceAll('~1', '/').replaceAll('~0', '~');
  const allowed = 'allowedValues' in error.params ? `: ${(error.params['allowedValues'] as unknown[]).join(', ')}` : '';
  return `${where === '' ? 'the document' : where} ${error.message ?? 'is not valid'}${allowed}`;
}
