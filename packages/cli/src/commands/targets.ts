import type { TargetProfile } from '@diskmorph/disk-image';
import { targetProfiles } from '@diskmorph/disk-image';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import type { LintPage } from '../lint-text.ts';
import { requireTarget } from '../target-profile.ts';
import { sizeText } from '../terminal/size-text.ts';
import { tableLines, wrapText } from '../terminal/text-layout.ts';

/** `diskmorph targets`. */
export const targetsCommand: Command = {
  name: 'targets',
  summary: 'List the clouds and hypervisors that images can be made for, or the rules of one.',
  operands: ['TARGET'],
  optionalOperands: 1,
  options: [JSON_OPTION],
  examples: [
    { says: 'all targets, and what is written for them', line: 'diskmorph targets' },
    { says: 'the rules of one, with their sources', line: 'diskmorph targets azure' },
  ],
  run: runTargets,
};

async function runTargets(given: GivenArguments, { terminal }: CommandContext): Promise<number> {
  const [name] = given.operands;
  const shown = name === undefined ? targetProfiles : [requireTarget(name)];
  const page = { style: terminal.outStyle, width: terminal.width() };
  if (given.has('json')) await terminal.json(shown.map(profileFacts));
  else if (name === undefined) await terminal.out(overviewText(page));
  else for (const profile of shown) await terminal.out(profileText(profile, page));
  return EXIT.ok;
}

function profileFacts({ rules, ...profile }: TargetProfile): object {
  return { ...profile, rules: rules.map(({ breach: _test, ...rule }) => rule) };
}

function overviewText({ style }: LintPage): string {
  const rows = targetProfiles.map((profile) => [
    `  ${style.bold(profile.name)}`,
    profile.title,
    outputText(profile),
    { right: String(profile.rules.length) },
  ]);
  const [title = '', ...lines] = tableLines([['  target', 'is', 'what is written', 'rules'], ...rows]);
  return `${[style.dim(title), ...lines, '', '"diskmorph targets TARGET" shows its rules.'].join('\n')}\n`;
}

function profileText(profile: TargetProfile, { style, width }: LintPage): string {
  const room = Math.max(30, width - 7);
  const lines = [`${style.bold(profile.name)}: ${profile.title}`, `Written: ${outputText(profile)}`, '', 'Rules:'];
  for (const { id, severity, sentence, sources } of profile.rules) {
    lines.push(`  ${style.cyan(id)} ${style.dim(severity)}`);
    lines.push(...wrapText(sentence, room).map((line) => `      ${line}`));
    lines.push(...sources.map((source) => `      ${style.dim(source)}`));
  }
  if (profile.unchecked.length > 0) lines.push('', 'Not looked at:', ...profile.unchecked.map((it) => `  ${it}`));
  lines.push('', 'Then:', ...profile.next.map((command) => `  ${command}`));
  return `${lines.join('\n')}\n`;
}

function outputText({ output }: TargetProfile): string {
  const options = Object.entries(output.options).map(([key, value]) => `${key}=${value}`);
  const size = output.sizeMultiple === undefined ? [] : [`whole ${sizeText(output.sizeMultiple).replace('1 ', '')}`];
  const dense = output.dense === true ? ['without holes'] : [];
  const packing = output.packing === undefined ? [] : [`packed as ${output.extension}`];
  return [output.format, ...options, ...size, ...dense, ...packing].join(', ');
}
