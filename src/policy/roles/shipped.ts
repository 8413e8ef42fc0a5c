/** The role policies that the broker carries: `config/roles/roles.cedar`, letter for letter. A test says so. */
export const SHIPPED_ROLES = `// What the groups of humans may do here. The broker carries this set inside; to change it, copy the folder, name
// the copy in operators.roles_dir (mayfly.yaml), and start the broker again.
//
// principal  Mayfly::Operator, in Mayfly::Role (operators.roles), in Mayfly::Group (as the identity provider names
//            them), in Mayfly::Team (operators.teams, and each group's own name), in Mayfly::Namespace (namespaces).
// action     read, revoke, drill, approve, narrow, widen, register, configure
// resource   Mayfly::Resource with its kind ("installation", "agent", "team" or "namespace"), and where it has them
//            name, team and namespace.
//
// Whatever is permitted here: approve, widen, register and configure take a fresh sign-in for that alone.

@id("viewer-reads")
permit (principal in Mayfly::Role::"viewer", action == Mayfly::Action::"read", resource);

@id("approver-answers")
permit (
  principal in Mayfly::Role::"approver",
  action in [Mayfly::Action::"read", Mayfly::Action::"approve"],
  resource
);

@id("owner-reads")
permit (principal in Mayfly::Role::"owner", action == Mayfly::Action::"read", resource);

// Agents of a team that they are of.
@id("owner-answers-for-the-team")
permit (
  principal in Mayfly::Role::"owner",
  action in [Mayfly::Action::"revoke", Mayfly::Action::"narrow", Mayfly::Action::"widen"],
  resource
)
when { resource has team && principal in resource.team };

@id("platform-reads-and-drills")
permit (
  principal in Mayfly::Role::"platform",
  action in [Mayfly::Action::"read", Mayfly::Action::"drill"],
  resource
);

@id("platform-registers-in-its-namespace")
permit (
  principal in Mayfly::Role::"platform",
  action in [
    Mayfly::Action::"register",
    Mayfly::Action::"revoke",
    Mayfly::Action::"narrow",
    Mayfly::Action::"widen"
  ],
  resource
)
when { resource has namespace && principal in resource.namespace };

// What a namespace has registered is for its own team, beside those who run the installation or watch over it.
@id("namespaces-keep-to-themselves")
forbid (principal, action == Mayfly::Action::"read", resource)
when { resource has namespace && !(principal in resource.namespace) }
unless {
  principal in Mayfly::Role::"admin" || principal in Mayfly::Role::"viewer" ||
  (resource has team && principal in resource.team)
};

// All but approve: whoever sets the rules does not answer for the asks.
@id("admin-runs-the-installation")
permit (
  principal in Mayfly::Role::"admin",
  action in [
    Mayfly::Action::"read",
    Mayfly::Action::"revoke",
    Mayfly::Action::"drill",
    Mayfly::Action::"narrow",
    Mayfly::Action::"widen",
    Mayfly::Action::"register",
    Mayfly::Action::"configure"
  ],
  resource
);
`
