import { z } from 'zod'

/** An origin, perhaps with a path: credentials go there, so https, or http on this machine (a stand-in). */
export const providerUrl = z
  .url({ protocol: /^https?$/ })
  .transform(text => text.replace(/\/+$/, ''))
  .refine(text => {
    const { protocol, hostname, username, password, search, hash } = new URL(text)
    const local = hostname === '127.0.0.1' || hostname === '[::1]' || hostname === 'localhost'
    return (protocol === 'https:' || local) && `${username}${password}${search}${hash}` === ''
  }, 'use https, without user name, query or fragment')
