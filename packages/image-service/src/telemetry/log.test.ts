import { describe, expect, test } from 'vitest';
import type { Log, LogOptions } from './log.ts';
import { openLog } from './log.ts';
import { withLogContext } from './log-context.ts';

function logOf(options: Partial<LogOptions> = {}): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const log = openLog({ level: 'info', form: 'json', secrets: [], write: (line) => void lines.push(line), ...options });
  return { log, lines };
}

function entry(lines: readonly string[]): Record<string, unknown> {
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/\n$/);
  return JSON.parse(lines[0] ?? '');
}

describe('a line', () => {
  test('is one JSON object with level, time, message and fields', () => {
    const { log, lines } = logOf();
    log.info('served', { status: 200 });
    expect(entry(lines)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      msg: 'served',
      status: 200,
    });
  });

  test('below the level is not written', () => {
    const { log, lines } = logOf();
    log.debug('seldom wanted');
    expect(lines).toEqual([]);
  });

  test('bears the ids of the work that it is about, also after a wait', async () => {
    const { log, lines } = logOf();
    await withLogContext({ request_id: 'req-1' }, async () => {
      await Promise.resolve();
      withLogContext({ task_id: 't' }, () => log.warn('slow'));
    });
    expect(entry(lines)).toMatchObject({ request_id: 'req-1', task_id: 't', level: 'warn' });
  });

  test('tells of an error with its stack and its causes', () => {
    const { log, lines } = logOf();
    log.error('failed', { err: new TypeError('outer', { cause: new Error('password=hunter2') }) });
    expect(entry(lines)['err']).toMatchObject({
      type: 'TypeError',
      message: 'outer',
      stack: expect.stringContaining('log.test.ts'),
      cause: { message: 'password=***' },
    });
    expect(lines[0]).not.toContain('hunter2');
  });

  test('for people is text, whatever is in it', () => {
    const { log, lines } = logOf({ form: 'text' });
    log.warn('two\nlines \u001b[2J', { status: 200, err: new Error('deep') });
    expect(lines.join('')).toMatch(/^[\d:.]{12} WARN {2}two \| lines \?\[2J status=200\n {4}Error: deep\n {8}at /);
  });
});

describe('secrets do not get through', () => {
  test.each([
    ['https://user:pa:ss@host/path', 'https://***@host/path'],
    ['postgres://glance:p@ss@db:5432/glance', 'postgres://***@db:5432/glance'],
    ['GET http://host/a?X-Amz-Signature=abcdef&b=1', 'GET http://host/a?X-Amz-Signature=***&b=1'],
    [
      'http://h/a?AWSAccessKeyId=AKIA&Signature=ab%2Bc&Expires=1',
      'http://h/a?AWSAccessKeyId=***&Signature=***&Expires=1',
    ],
    ['http://h/a?X-Goog-Credential=a%40b&X-Goog-Signature=cd', 'http://h/a?X-Goog-Credential=***&X-Goog-Signature=***'],
    ['http://h/a?temp_url_sig=ab&temp_url_expires=1', 'http://h/a?temp_url_sig=***&temp_url_expires=1'],
    ['http://h/a?sv=1&sig=ab%3D', 'http://h/a?sv=1&sig=***'],
    ['http://h/a?access_token=ab#token=cd', 'http://h/a?access_token=***'],
    ['X-Amz-Credential=AKIA/2026/s3', 'X-Amz-Credential=***'],
    ['X-Auth-Token: gAAAAABn', 'X-Auth-Token: ***'],
    ['x-service-token=abc', 'x-service-token=***'],
    ['Authorization: Bearer eyJh.b.c', 'Authorization: ***'],
    ['{"password": "s3cret", "user": "a"}', '{"password": "***", "user": "a"}'],
    ['s3_store_secret_key = abcd', 's3_store_secret_key = ***'],
    ['secret_access_key=abcd', 'secret_access_key=***'],
    ['the key is tellNobody!', 'the key is ***'],
  ])('%s', (given, shown) => {
    const { log, lines } = logOf({ secrets: ['tellNobody!', 'ab'] });
    log.warn(given, { nested: { list: [given] } });
    expect(entry(lines)).toMatchObject({ msg: shown, nested: { list: [shown] } });
  });

  test.each(['x-auth-token', 'Authorization', 'password', 'secretAccessKey', 'X-Service-Token', 'cookie'])(
    'a property %s',
    (name) => {
      const { log, lines } = logOf();
      log.info('a call', { headers: { [name]: 'abc', accept: '*/*' } });
      expect(entry(lines)['headers']).toEqual({ [name]: '***', accept: '*/*' });
    },
  );

  test.each([
    'a token was refused',
    'design=1',
    'the image http://host:80/a@b',
    'no secret here',
    'mail to a@b.example',
  ])('what is none stays: %s', (text) => {
    const { log, lines } = logOf();
    log.info(text);
    expect(entry(lines)).toMatchObject({ msg: text });
  });
});
