/**
 * @peculiar/x509 registers its parts in a container that looks for a polyfill of Reflect's metadata when it is
 * loaded, and finds what it needs without any. Imported before it.
 */
const none: Record<string, unknown> = {
  getMetadata: () => undefined,
  getOwnMetadata: () => undefined,
  hasOwnMetadata: () => false,
  defineMetadata: () => undefined,
}
for (const [name, value] of Object.entries(none))
  if (!(name in Reflect)) Object.assign(Reflect, { [name]: value })
