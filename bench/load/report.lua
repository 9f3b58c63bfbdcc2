-- At wrk's end: its figures as one line of JSON, for bench/load/wrk.ts.
function done(summary, latency)
  local errors = summary.errors
  local format = 'bench {"requests":%.0f,"seconds":%.6f,"bytes":%.0f,"p50Ms":%.4f,"p99Ms":%.4f,'
    .. '"errors":{"status":%.0f,"connect":%.0f,"read":%.0f,"write":%.0f,"timeout":%.0f}}\n'
  io.write(
    string.format(
      format,
      summary.requests,
      summary.duration / 1e6,
      summary.bytes,
      latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3,
      errors.status,
      errors.connect,
      errors.read,
      errors.write,
      errors.timeout
    )
  )
end
