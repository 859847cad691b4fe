import type { Caller, PolicyTarget } from '../caller.ts';
import type { CallerAttribute, Rule, Template } from './rule.ts';

/** What a rule is held against, and the rules that it may name. */
export interface RuleSubject {
  readonly rules: ReadonlyMap<string, Rule>;
  readonly caller: Caller;
  readonly target: PolicyTarget;
}

/**
 * Whether the rule holds. What is not there never holds: an attribute that the target has not, one that the caller has
 * not, a rule that nobody defined. The rules are those of `checkRules`, so no way through them is endless.
 */
export function evaluateRule(rule: Rule, subject: RuleSubject): boolean {
  switch (rule.kind) {
    case 'always':
      return true;
    case 'never':
      return false;
    case 'not':
      return !evaluateRule(rule.rule, subject);
    case 'and':
      return rule.rules.every((inner) => evaluateRule(inner, subject));
    case 'or':
      return rule.rules.some((inner) => evaluateRule(inner, subject));
    case 'rule': {
      const named = subject.rules.get(rule.name);
      return named !== undefined && evaluateRule(named, subject);
    }
    case 'role': {
      const role = fillTemplate(rule.name, subject.target);
      return role !== undefined && subject.caller.roles.includes(role.toLowerCase());
    }
    case 'literal':
      return fillTemplate(rule.value, subject.target, 'None') === rule.literal;
    case 'attribute':
      return attributeHolds(rule.attribute, rule.value, subject);
  }
}

function attributeHolds(attribute: CallerAttribute, value: Template, { caller, target }: RuleSubject): boolean {
  const wanted = fillTemplate(value, target);
  if (wanted === undefined) return false;
  const own = ATTRIBUTE_OF[attribute](caller);
  if (typeof own === 'object' && own !== null) return own.includes(wanted);
  // A caller without a project does not own what nobody owns: null is met by a written None alone.
  if (own === null) return wanted === 'None' && value.every((piece) => typeof piece === 'string');
  return wanted === pythonText(own);
}

const ATTRIBUTE_OF: Readonly<Record<CallerAttribute, (caller: Caller) => string | boolean | null | readonly string[]>> =
  {
    user_id: (caller) => caller.userId,
    user: (caller) => caller.userId,
    user_name: (caller) => caller.userName,
    user_domain_id: (caller) => caller.userDomainId,
    project_id: (caller) => caller.projectId,
    tenant: (caller) => caller.projectId,
    tenant_id: (caller) => caller.projectId,
    project_name: (caller) => caller.projectName,
    project_domain_id: (caller) => caller.projectDomainId,
    domain_id: (caller) => caller.domainId,
    system_scope: (caller) => caller.systemScope,
    is_admin: (caller) => caller.isAdmin,
    is_admin_project: (caller) => caller.isAdminProject,
    service_user_id: (caller) => caller.serviceUserId,
    service_project_id: (caller) => caller.serviceProjectId,
    roles: (caller) => caller.roles,
    service_roles: (caller) => caller.serviceRoles,
  };

/** The text with the target's attributes in it; undefined where the target has not one of them (`ofNull`: for null). */
function fillTemplate(template: Template, target: PolicyTarget, ofNull?: string): string | undefined {
  let text = '';
  for (const piece of template) {
    if (typeof piece === 'string') {
      text += piece;
      continue;
    }
    const value = Object.hasOwn(target, piece.attribute) ? target[piece.attribute] : undefined;
    const filled = value === null ? ofNull : value === undefined ? undefined : pythonText(value);
    if (filled === undefined) return undefined;
    text += filled;
  }
  return text;
}

/** As Python's `str()` writes it: rules compare with `True` and `False`. */
function pythonText(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return String(value);
}
