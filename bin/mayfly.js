#!/usr/bin/env node
// Plain JavaScript: it must run on an old Node to say that it is too old.
const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  process.stderr.write(
    `mayfly needs Node 24 or newer; this is ${process.version}.\n` +
      'In a checkout: npm ci, then npx mayfly (it brings its own Node). Elsewhere: install Node 24.\n',
  )
  process.exit(1)
}
const { existsSync } = await import('node:fs')
// A checkout runs its sources, an installed package what was built from them.
const source = new URL('../src/main.ts', import.meta.url)
await import(existsSync(source) ? source : new URL('../dist/src/main.js', import.meta.url))
