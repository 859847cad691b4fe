/**
 * A text of a rule in which `%(name)s` stands for an attribute of the target: plain pieces and names in order. A text
 * without names has one plain piece.
 */
export type Template = readonly (string | { readonly attribute: string })[];

/** What a rule says, as a tree. oslo.policy, "Policy language". */
export type Rule =
  | { readonly kind: 'always' }
  | { readonly kind: 'never' }
  | { readonly kind: 'not'; readonly rule: Rule }
  | { readonly kind: 'and' | 'or'; readonly rules: readonly Rule[] }
  /** The caller has the role. */
  | { readonly kind: 'role'; readonly name: Template }
  /** What the rule of that name says. */
  | { readonly kind: 'rule'; readonly name: string; readonly column: number }
  /** An attribute of the caller is the text. */
  | { readonly kind: 'attribute'; readonly attribute: CallerAttribute; readonly value: Template }
  /** A text written in the rule is the text. */
  | { readonly kind: 'literal'; readonly literal: string; readonly value: Template };

/** The attributes of a caller that a rule may name; `tenant` and `user` are former names of ids. */
export const CALLER_ATTRIBUTES = [
  'user_id',
  'user_name',
  'user_domain_id',
  'project_id',
  'project_name',
  'project_domain_id',
  'domain_id',
  'system_scope',
  'is_admin',
  'is_admin_project',
  'service_user_id',
  'service_project_id',
  'roles',
  'service_roles',
  'user',
  'tenant',
  'tenant_id',
] as const;
/** One of `CALLER_ATTRIBUTES`. */
export type CallerAttribute = (typeof CALLER_ATTRIBUTES)[number];

/** The longest text of one rule, in characters. */
export const MAX_RULE_LENGTH = 16_384;
/** How deep parentheses and `not` may lie in each other, and how long a way through other rules may be. */
export const MAX_RULE_DEPTH = 128;
/** How many checks one rule may come to with all rules that it names. */
export const MAX_RULE_CHECKS = 4096;
/** How many rules there may be. */
export const MAX_RULES = 2000;
