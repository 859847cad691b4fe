/** What stands in a log where a secret was. */
export const REDACTED = '***';

/** Takes secrets out of text. */
export type Redact = (text: string) => string;

/** Secrets shorter than this are not looked for in lines: they would be found in every word. */
const SHORTEST_KNOWN_SECRET = 6;

/** `scheme://user:password@host`: everything before the last `@` of the authority. */
const USER_INFO = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s"'\\/?#]+@/gi;

const SECRET_NAMES = [
  'x-(?:auth|subject|service|storage)-token',
  '(?:proxy-)?authorization',
  '(?:set-)?cookie',
  'password',
  'passwd',
  'pwd',
  'secret(?:[_-]?(?:access[_-]?)?key)?',
  '(?:aws|oss)?access[_-]?key(?:[_-]?id)?',
  'googleaccessid',
  'api[_-]?key',
  '(?:[a-z]+[_-])?token',
  'x-(?:amz|goog|oss)-(?:signature|credential|security-token)',
  'sig(?:nature)?',
  'credential_secret',
  's3_store_(?:secret|access)_key',
];

/** `name: value`, `name=value`, `"name": "value"`, `prefix_name=value`; the scheme of an Authorization header goes with it. */
const ASSIGNED = new RegExp(
  `((?<![a-z0-9])(?:${SECRET_NAMES.join('|')})["']?\\s*[:=]\\s*["']?)(?:(?:bearer|basic|token|aws4-hmac-sha256)\\s+)?[^\\s"'\\\\,;&}]+`,
  'gi',
);
const SECRET_NAME = new RegExp(`^(?:${SECRET_NAMES.join('|')})$`, 'i');

/** Takes out passwords in URLs, tokens, keys and passwords that are named as such, and the known secrets wherever they stand. */
export function redactor(known: readonly string[]): Redact {
  const literal = known.filter((secret) => secret.length >= SHORTEST_KNOWN_SECRET);
  return (text) => {
    let result = text;
    for (const secret of literal) result = result.replaceAll(secret, REDACTED);
    return result.replaceAll(USER_INFO, `$1${REDACTED}@`).replaceAll(ASSIGNED, `$1${REDACTED}`);
  };
}

/**
 * An address with nothing in it that lets anybody in, whatever the server that it names calls such things: without a user,
 * and without the values of its query. Other text with its secrets taken out.
 */
export function maskedAddress(text: string): string {
  const redacted = redactor([])(text);
  if (!URL.canParse(text)) return redacted;
  return redacted.replace(/([?#])(.*)$/s, (_all, mark: string, rest: string) => mark + maskedPairs(rest));
}

/** `a=***&b=***`; what has no name is masked whole. */
function maskedPairs(query: string): string {
  const masked = query.split('&').map((pair) => (pair.includes('=') ? `${pair.split('=', 1)[0]}=` : '') + REDACTED);
  return masked.join('&');
}

/** A value for the log: the same, with every text in it redacted and every property of a secret name taken out. */
export function redactedValue(value: unknown, redact: Redact): unknown {
  if (typeof value === 'string') return redact(value);
  if (value instanceof Error) return describeError(value, redact);
  if (Array.isArray(value)) return value.map((each) => redactedValue(each, redact));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      SECRET_NAME.test(name) && each !== null ? REDACTED : redactedValue(each, redact),
    ]),
  );
}

/** Causes of causes that are told of. */
const MOST_CAUSES = 5;

/** What the log says of an error: type, message, code, stack, causes. */
function describeError(error: Error, redact: Redact, depth: number = 0): unknown {
  const { cause } = error;
  const code = 'code' in error ? String(error.code) : undefined;
  return {
    type: error.name,
    message: redact(error.message),
    ...(code === undefined ? {} : { code: redact(code) }),
    stack: redact(error.stack ?? ''),
    ...(cause instanceof Error && depth < MOST_CAUSES ? { cause: describeError(cause, redact, depth + 1) } : {}),
  };
}
