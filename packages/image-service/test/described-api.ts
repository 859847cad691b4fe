/** Holds answers against what the service says of itself in `/openapi.json`. */
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { OpenApiDocument } from '../src/api/openapi/document.ts';
import type { Answer, ApiWorld } from './api-world.ts';

/** What is described. */
export interface DescribedApi {
  readonly document: OpenApiDocument;
  /** Every `GET /v2/images/{imageId}` of the document. */
  readonly operations: readonly string[];
  /** The operation that a call is, the most literal one. Throws when none is described. */
  operationOf(line: string): string;
  /** What the description does not know about this answer to this call; undefined when it is as described. */
  faultOf(line: string, answer: Answer): string | undefined;
}

interface Media {
  readonly schema?: object;
}
type Described = { readonly content?: Readonly<Record<string, Media>>; readonly $ref?: string };

/** Reads the description of the world's service. */
export async function describedApi(world: ApiWorld): Promise<DescribedApi> {
  const document = (await world.call('GET /openapi.json')).json as unknown as OpenApiDocument;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const validatorOf = validators(document);
  const operationOf = (line: string): string => {
    const operation = fittingOperation(operations, line);
    if (operation === undefined) throw new Error(`nothing in the document describes ${line}`);
    return operation;
  };
  return {
    document,
    operations,
    operationOf,
    faultOf(line, answer) {
      const described = describedAnswer(document, operationOf(line), answer.status);
      if (described === undefined) return `${line} answered ${answer.status}, which is not described: ${answer.text}`;
      const type = answer.headers.get('content-type')?.split(';')[0];
      if (line.startsWith('HEAD ')) return undefined;
      if (type === undefined) return answer.text === '' ? undefined : `${line} answered with a body of no type`;
      const media = described.content?.[type];
      if (media === undefined) return `${line} answered ${answer.status} with ${type}, which is not described`;
      if (type !== 'application/json' || media.schema === undefined) return undefined;
      const validate = validatorOf(media.schema);
      if (validate(answer.json)) return undefined;
      return `${line} answered ${answer.status}: ${JSON.stringify(validate.errors)}\n${answer.text}`;
    },
  };
}

function fittingOperation(operations: readonly string[], line: string): string | undefined {
  const [method = '', url = ''] = line.split(' ');
  const path = url.split('?')[0] ?? '';
  const fitting = operations.filter((operation) => {
    const [itsMethod, template = ''] = operation.split(' ');
    const parts = template.split(/\{\w+\}/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
    return itsMethod === method && new RegExp(`^${parts.join('[^/]+')}$`).test(path);
  });
  return fitting.sort((a, b) => a.split('{').length - b.split('{').length)[0];
}

/** What the document says of that answer to that operation. */
function describedAnswer(
  { paths, components }: OpenApiDocument,
  operation: string,
  status: number,
): Described | undefined {
  const [method = '', path = ''] = operation.split(' ');
  const responses = paths[path]?.[method.toLowerCase()]?.responses as Record<string, Described> | undefined;
  const response = responses?.[status];
  const name = response?.$ref?.split('/').at(-1);
  if (name === undefined) return response;
  return (components as unknown as { readonly responses: Readonly<Record<string, Described>> }).responses[name];
}

function validators({ components }: OpenApiDocument): (schema: object) => ValidateFunction {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema({ $id: 'document', components });
  const known = new Map<string, ValidateFunction>();
  return (schema) => {
    const text = JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/');
    const validate = known.get(text) ?? ajv.compile(JSON.parse(text) as object);
    known.set(text, validate);
    return validate;
  };
}
