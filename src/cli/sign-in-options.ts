/** Of each command that a human can sign in for; without anything that a sign-in needs, since all commands load it. */
export const SIGN_IN_OPTIONS = {
  signIn: ['--sign-in', 'you sign in for each task, and it works in your name: no evidence, no file'],
  device: ['--device', 'with --sign-in: by a code on another machine (RFC 8628)'],
  signInAt: ['--sign-in-at <attestor>', 'with --sign-in: where, if the broker knows several'],
} as const
