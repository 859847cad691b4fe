import { expect, test } from 'vitest';
import { turns } from './turns.ts';

const signal = new AbortController().signal;

test('work for one key is done in turn, also after a failure; for another at once', async () => {
  const { during } = turns();
  const told: string[] = [];
  const first = Promise.withResolvers<void>();
  const works = [
    during('a', signal, () => first.promise),
    during('a', signal, async () => void told.push('second')),
    during('b', signal, async () => void told.push('other')),
  ];
  await works[2];
  expect(told).toEqual(['other']);
  first.reject(new Error('failed'));
  await expect(works[0]).rejects.toThrow('failed');
  await works[1];
  expect(told).toEqual(['other', 'second']);
});

test('who leaves the row is not waited for, and those behind keep their places', async () => {
  const { during } = turns();
  const first = Promise.withResolvers<string>();
  const control = new AbortController();
  const one = during('a', signal, () => first.promise);
  const left = during('a', control.signal, async () => 'never');
  const last = during('a', signal, async () => 'last');
  control.abort(new Error('left'));
  await expect(left).rejects.toThrow('left');
  const early = await Promise.race([last, Promise.resolve('still waiting')]);
  first.resolve('first');
  expect([early, await one, await last]).toEqual(['still waiting', 'first', 'last']);
});
