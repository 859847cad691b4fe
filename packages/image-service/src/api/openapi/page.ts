import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { JsonSchema } from '../image-schema.ts';
import { isObject } from '../json-body.ts';
import type { Content, DescribedOperation, DescribedResponse, OpenApiDocument } from './document.ts';
import { errorMeaning } from './document.ts';
import type { Html } from './html.ts';
import { html } from './html.ts';
import { PAGE_STYLE } from './page-style.ts';

/** A page that needs nothing but itself. */
export interface DocumentPage {
  readonly html: string;
  /** Lets its own style in, and nothing else: no script, no other host. */
  readonly securityPolicy: string;
}

/** Not a part of the template: its digest is that of every character between the tags. */
const STYLE: Html = { html: `<style>${PAGE_STYLE}</style>` };
const STYLE_DIGEST = createHash('sha256').update(PAGE_STYLE).digest('base64');
const SECURITY_POLICY = `default-src 'none'; style-src 'sha256-${STYLE_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The description for people. */
export function documentPage(document: OpenApiDocument): DocumentPage {
  const sections = sectionsOf(document);
  const { title, version, description } = document.info;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${STYLE}
      </head>
      <body>
        <nav aria-label="Contents">
          <div>${sections.map(contents)}<a href="#schemas">Documents</a></div>
        </nav>
        <main>
          <h1>${title}</h1>
          <p class="quiet">${description} Version ${version} of diskmorph.</p>
          <p>
            The same for programs: <a href="/openapi.json">openapi.json</a>. Who must say who they are sends a token as
            <code>X-Auth-Token</code>. Errors are HTML, or <a href="#schema-error">JSON</a> where
            <code>Accept: application/json</code> asks for it.
          </p>
          ${sections.map(section)}
          <h2 id="schemas">Documents</h2>
          ${Object.entries(document.components.schemas).map(namedSchema)}
        </main>
      </body>
    </html>`;
  return { html: page.html, securityPolicy: SECURITY_POLICY };
}

interface Entry {
  readonly method: string;
  readonly path: string;
  readonly operation: DescribedOperation;
}

interface Section {
  readonly name: string;
  readonly description: string;
  readonly entries: readonly Entry[];
}

function sectionsOf({ tags, paths }: OpenApiDocument): readonly Section[] {
  const entries = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Entry => ({ method, path, operation })),
  );
  return tags
    .map((tag) => ({ ...tag, entries: entries.filter(({ operation }) => operation.tags.includes(tag.name)) }))
    .filter((each) => each.entries.length > 0);
}

function contents({ name, entries }: Section): Html {
  return html`<details>
    <summary>${name}</summary>
    <ul>
      ${entries.map(({ operation }) => html`<li><a href="#${operation.operationId}">${operation.summary}</a></li>`)}
    </ul>
  </details>`;
}

function section({ name, description, entries }: Section): Html {
  return html`<section aria-label="${name}">
    <h2>${name}</h2>
    <p class="quiet">${description}</p>
    ${entries.map(entry)}
  </section>`;
}

/** The anchor stands inside, for a browser opens what it leads to. */
function entry({ method, path, operation }: Entry): Html {
  const { operationId, summary, description, parameters = [], requestBody, responses, security } = operation;
  return html`<details class="item">
    <summary>
      <span class="method ${method}">${method.toUpperCase()}</span><code>${path}</code
      ><span class="says">${summary}</span>
    </summary>
    <div id="${operationId}">
      ${description === undefined ? undefined : html`<p>${description}</p>`}
      ${security.length > 0 ? undefined : html`<p class="quiet">Nobody is asked who they are.</p>`}
      ${
        parameters.length === 0
          ? undefined
          : html`<h3>Parameters</h3>
              ${table(parameters.map(parameterRow))}`
      }
      ${
        requestBody === undefined
          ? undefined
          : html`<h3>Body${requestBody.required ? '' : ', if any'}</h3>
              <p>${contentText(requestBody.content)}</p>`
      }
      <h3>Answers</h3>
      ${table(Object.entries(responses).map(responseRow))}
    </div>
  </details>`;
}

function table(rows: readonly Html[]): Html {
  return html`<div class="table">
    <table>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

function parameterRow(parameter: NonNullable<DescribedOperation['parameters']>[number]): Html {
  const { name, description, schema } = parameter;
  return html`<tr>
    <th scope="row"><code>${name}</code></th>
    <td class="quiet">${parameter.in}</td>
    <td>${description}${limitsText(schema)}</td>
  </tr>`;
}

function responseRow([status, response]: readonly [string, DescribedResponse]): Html {
  const title = STATUS_CODES[Number(status)] ?? '';
  if ('$ref' in response) {
    return html`<tr>
      <th scope="row"><code>${status}</code></th>
      <td class="quiet">${title}</td>
      <td>${errorMeaning(Number(status))}</td>
    </tr>`;
  }
  const headers = Object.keys(response.headers ?? {}).filter((name) => name !== 'x-openstack-request-id');
  return html`<tr>
    <th scope="row"><code>${status}</code></th>
    <td class="quiet">${title}</td>
    <td>
      ${response.description}${response.content === undefined ? undefined : html`: ${contentText(response.content)}`}
      ${headers.length === 0 ? undefined : html`<br /><span class="quiet">Headers: ${headers.join(', ')}</span>`}
    </td>
  </tr>`;
}

/** `image as application/json`; several types of one document are named together. */
function contentText(content: Content): Html {
  const byDocument = Map.groupBy(Object.entries(content), ([, { schema }]) =>
    schema === undefined ? '' : typeText(schema).html,
  );
  return joined(
    [...byDocument].map(([document, media]) => {
      const types = joined(media.map(([type]) => html`<code>${type}</code>`));
      return document === '' ? types : html`${{ html: document }} as ${types}`;
    }),
  );
}

/** One or another. */
function joined(parts: readonly Html[]): Html {
  return html`${parts.map((part, position) => html`${position === 0 ? '' : ' or '}${part}`)}`;
}

function namedSchema([name, schema]: readonly [string, JsonSchema]): Html {
  return html`<details class="item schema">
    <summary><code>${name}</code></summary>
    <div id="schema-${name}">${schemaBody(schema)}</div>
  </details>`;
}

function schemaBody(schema: JsonSchema): Html {
  const properties = objectIn(schema, 'properties');
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  const rows = Object.entries(properties).map(([name, property]) =>
    propertyRow(name, isObject(property) ? property : {}, required.includes(name)),
  );
  const others = schema['additionalProperties'];
  const more = isObject(others)
    ? html`<p>${rows.length === 0 ? 'Names and values' : 'Other names'}: ${typeText(others)}</p>`
    : undefined;
  if (rows.length > 0) return html`${table(rows)}${more}`;
  return more ?? html`<p>${typeText(schema)}${limitsText(schema)}</p>`;
}

function propertyRow(name: string, schema: JsonSchema, required: boolean): Html {
  const { description } = schema;
  return html`<tr>
    <th scope="row"><code>${name}</code> ${required ? html`<span class="must">required</span>` : undefined}</th>
    <td>${typeText(schema)}</td>
    <td>${typeof description === 'string' ? description : ''}${limitsText(schema)}</td>
  </tr>`;
}

/** What kind of value it is. */
function typeText(schema: JsonSchema): Html {
  const { $ref, type, items, oneOf } = schema;
  if (typeof $ref === 'string') {
    const name = $ref.split('/').at(-1) ?? '';
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  if (Array.isArray(oneOf)) {
    return joined(oneOf.filter(isObject).map(typeText));
  }
  if (type === 'array' && isObject(items)) return html`list of ${typeText(items)}`;
  if (type === 'object' && isObject(schema['properties'])) {
    return html`object with ${Object.keys(schema['properties']).join(', ')}`;
  }
  return html`${Array.isArray(type) ? type.join(' or ') : String(type ?? 'any value')}`;
}

/** Which values there are of that kind. */
function limitsText(schema: JsonSchema): Html {
  const texts: string[] = [];
  if (Array.isArray(schema['enum'])) texts.push(`one of ${schema['enum'].map(String).join(', ')}`);
  if (schema['const'] !== undefined) texts.push(`always ${String(schema['const'])}`);
  if (schema['default'] !== undefined) texts.push(`${String(schema['default'])} when not given`);
  if (schema['maxLength'] !== undefined) texts.push(`at most ${String(schema['maxLength'])} characters`);
  if (schema['readOnly'] === true) texts.push('set by the service');
  return texts.length === 0 ? html`` : html` <span class="quiet">(${texts.join('; ')})</span>`;
}

function objectIn(schema: JsonSchema, name: string): JsonSchema {
  const value = schema[name];
  return isObject(value) ? value : {};
}
