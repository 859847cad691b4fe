import { BlockList, isIP } from 'node:net';

/** Says whether an address may be reached. */
export type AddressRule = (address: string) => boolean;

/**
 * IPv4 addresses that no server on the internet has. IANA IPv4 special-purpose address registry (RFC 6890 and later), and
 * multicast.
 */
const PRIVATE_4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

/** Of IPv6 only global unicast is public, without these. IANA IPv6 special-purpose address registry. */
const GLOBAL_6: readonly [string, number] = ['2000::', 3];
const PRIVATE_6: readonly (readonly [string, number])[] = [
  // Teredo, ORCHID and other protocol assignments.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4 embeds an IPv4 address, of whatever kind.
  ['2002::', 16],
  ['3fff::', 20],
];

/**
 * Public addresses, and those of the given addresses and networks (`10.1.0.0/16`, `fd00::/8`, `192.168.0.7`). Everything
 * else is refused: this machine, private networks, the local link, multicast, and what is no address at all.
 */
export function addressRule(allowed: readonly string[]): AddressRule {
  const closed = new BlockList();
  for (const [network, prefix] of PRIVATE_4) closed.addSubnet(network, prefix, 'ipv4');
  for (const [network, prefix] of PRIVATE_6) closed.addSubnet(network, prefix, 'ipv6');
  const global = new BlockList();
  global.addSubnet(...GLOBAL_6, 'ipv6');
  const opened = networks(allowed);
  return (text) => {
    const address = embeddedIpv4(text) ?? text;
    const family = isIP(address);
    if (family === 0) return false;
    const kind = family === 4 ? 'ipv4' : 'ipv6';
    if (opened.check(address, kind)) return true;
    return !closed.check(address, kind) && (family === 4 || global.check(address, kind));
  };
}

/** A rule that remembers what it has let through. */
export interface WatchedRule {
  readonly mayReach: AddressRule;
  /** Nothing but public addresses was let through. */
  onlyPublic(): boolean;
}

/** The rule, watched. */
export function watchedRule(rule: AddressRule): WatchedRule {
  const isPublic = addressRule([]);
  let onlyPublic = true;
  return {
    mayReach(address) {
      const may = rule(address);
      if (may && !isPublic(address)) onlyPublic = false;
      return may;
    },
    onlyPublic: () => onlyPublic,
  };
}

function networks(allowed: readonly string[]): BlockList {
  const opened = new BlockList();
  for (const each of allowed) {
    const [address = '', prefix] = each.split('/');
    const kind = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (prefix === undefined) opened.addAddress(address, kind);
    else opened.addSubnet(address, Number(prefix), kind);
  }
  return opened;
}

/** The IPv4 address in `::ffff:127.0.0.1` and `::ffff:7f00:1`: the machine connects to that one. */
function embeddedIpv4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const canonical = URL.parse(`http://[${address.split('%')[0]}]/`)?.hostname ?? '';
  const [, high, low] = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(canonical) ?? [];
  if (high === undefined || low === undefined) return undefined;
  const [first, second] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [first >> 8, first & 255, second >> 8, second & 255].join('.');
}
