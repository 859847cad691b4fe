import { describe, expect, test } from 'vitest';
import { addressRule, watchedRule } from './address-rules.ts';

describe('without a list only public addresses may be reached', () => {
  const mayReach = addressRule([]);

  test.each([
    '1.1.1.1',
    '93.184.216.34',
    '172.32.0.1',
    '192.169.0.1',
    '2606:4700::1111',
    '2a00:1450:4001::200e',
    '::ffff:1.1.1.1',
  ])('%s may', (address) => {
    expect(mayReach(address)).toBe(true);
  });

  test.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:a9fe:a9fe',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:0:1::',
    'fc00::1',
    'fd12::1',
    'fe80::1',
    'fe80::1%eth0',
    'ff02::1',
    'localhost',
    '',
    '1.1.1',
  ])('%s may not', (address) => {
    expect(mayReach(address)).toBe(false);
  });
});

test('listed addresses and networks may be reached, their neighbours not', () => {
  const mayReach = addressRule(['10.20.0.0/16', '192.168.7.5', 'fd00:1::/32', '::1']);
  const addresses = [
    '10.20.255.1',
    '10.21.0.1',
    '192.168.7.5',
    '192.168.7.6',
    '::ffff:10.20.0.1',
    'fd00:1::7',
    'fd00:2::7',
    '::1',
  ];
  expect(addresses.filter(mayReach)).toEqual(['10.20.255.1', '192.168.7.5', '::ffff:10.20.0.1', 'fd00:1::7', '::1']);
});

test('a watched rule knows whether only public addresses were let through', () => {
  const watched = watchedRule(addressRule(['10.0.0.1']));
  expect([watched.mayReach('1.1.1.1'), watched.mayReach('10.0.0.2'), watched.onlyPublic()]).toEqual([
    true,
    false,
    true,
  ]);
  expect([watched.mayReach('10.0.0.1'), watched.mayReach('1.1.1.1'), watched.onlyPublic()]).toEqual([
    true,
    true,
    false,
  ]);
});
