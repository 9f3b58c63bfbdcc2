/** What a query asks for, as far as tests look at it. */

/** Names of the metrics of ours, or of the process, that a query asks for, without the endings of a histogram's series. */
export function metricsIn(expr: string): readonly string[] {
  const names = expr.match(/\b(?:media|cellarium|process|nodejs)_\w+/g) ?? []
  return [...new Set(names.map((name) => name.replace(/_bucket$/, '').replace(/(_seconds)_(?:sum|count)$/, '$1')))]
}

/** Labels that a query compares, groups by, or shows. */
export function labelsIn(expr: string, shown = ''): readonly string[] {
  const compared = [...expr.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label]) => label ?? '')
  const grouped = [...expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, labels]) => (labels ?? '').split(', '))
  const named = [...shown.matchAll(/\{\{ ?(?:\$labels\.)?(\w+) ?\}\}/g)].map(([, label]) => label ?? '')
  return [...new Set([...compared, ...grouped, ...named])]
}
