-- Requests for wrk. They are made before the load begins, so that making them costs it nothing.
-- Arguments: a seed, the number of people, the form of their ids, how many requests to make; then for each kind of
-- request its weight, method, path and body. <id>, <country>, <age> and <number> in a path or a body are drawn.

local made, last = {}, 0

local function drawn(people, form)
    local values = {
        id = string.format(form, math.random(people)),
        country = "C" .. math.random(0, 19),
        age = tostring(math.random(20, 60)),
        number = tostring(math.random(1000000)),
    }
    return function(text) return (text:gsub("<(%l+)>", values)) end
end

function init(args)
    math.randomseed(tonumber(args[1]))
    local people, form, count = tonumber(args[2]), args[3], tonumber(args[4])
    local kinds = {}
    for at = 5, #args, 4 do
        for _ = 1, tonumber(args[at]) do
            kinds[#kinds + 1] = { method = args[at + 1], path = args[at + 2], body = args[at + 3] }
        end
    end
    for at = 1, count do
        local kind, fill = kinds[math.random(#kinds)], drawn(people, form)
        local body = kind.body ~= "" and fill(kind.body) or nil
        wrk.headers["Content-Type"] = body and "application/json" or nil
        made[at] = wrk.format(kind.method, fill(kind.path), nil, body)
    end
    io.write("ready\n")
    io.flush()
end

function request()
    last = last % #made + 1
    return made[last]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("done %d %d %d %d %d %d\n",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
