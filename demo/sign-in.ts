/**
 * `npx node demo/sign-in.ts cleo ADDRESS`: signs a human of the playground in where no browser is, at the address
 * that `mayfly` printed.
 */
import { createBrowser } from '../test/fakes/identity/human.ts'

const [id = '', address = ''] = process.argv.slice(2)
if (!URL.canParse(address))
  throw new Error('expected the name of a human and the address that mayfly printed')
const { text } = await createBrowser({ id, issuer: new URL(address).origin }).visit(address)
process.stdout.write(`${text.replaceAll(/<[^>]*>/g, '\n').trim()}\n`)
