/** What is used of the runner's toolkit, by name: the whole would bring its HTTP client along. */
// biome-ignore lint/performance/noBarrelFile: it takes ten names out of a package, so that the rest stays out.
export {
  exportVariable,
  getInput,
  getState,
  info,
  notice,
  saveState,
  setFailed,
  setOutput,
  setSecret,
  warning,
} from '@actions/core'
