/** The schema that role policies are written against (docs/operators.md). */
export const ROLE_SCHEMA = `namespace Mayfly {
  entity Role;
  entity Group;
  entity Team;
  entity Namespace;
  entity Operator in [Role, Group, Team, Namespace] = { issuer: String, subject: String };
  entity Resource = { kind: String, name?: String, team?: Team, namespace?: Namespace };
  action "read", "revoke", "drill", "approve", "narrow", "widen", "register", "configure"
    appliesTo { principal: [Operator], resource: [Resource], context: {} };
}
`
