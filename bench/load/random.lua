-- Each request asks for one of many files at random. BENCH_PATHS names a file with one path a line.
dofile(os.getenv('BENCH_REPORT'))

local requests = {}

function init()
  math.randomseed(os.time())
  for path in io.lines(os.getenv('BENCH_PATHS')) do
    requests[#requests + 1] = wrk.format('GET', path)
  end
end

function request()
  return requests[math.random(#requests)]
end
