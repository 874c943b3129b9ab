"""The Lua scripts of the Redis store. Each is atomic among any number of processes.

A write's script first compares all versions, then changes: Redis does not take back what a script has done.
Lua's `unpack` bears a few thousand values, so long lists go by pieces.
"""

from __future__ import annotations

from brain.store import LOGGED_CHANGES, MARKS_KEPT

PARTS = 5
"""Values that describe a change: place of its collection, key, expected version, new version, data after a + (or -)."""

STAGE = """
redis.call('RPUSH', KEYS[1], unpack(ARGV))
redis.call('EXPIRE', KEYS[1], 60)
"""

# The versions of keys. KEYS: data.
VERSIONS = """
local found = {}
for place, value in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV))) do
    found[place] = value and tonumber(string.match(value, '^%d+')) or 0
end
return found
"""

# A copy of a collection, to be changed by pieces and put in its place by WRITE. KEYS: data, keys, and their copies.
COPY = """
for place = 1, 2 do
    if redis.call('EXISTS', KEYS[place]) == 1 then redis.call('COPY', KEYS[place], KEYS[place + 2]) end
end
"""

# KEYS: the copies of data and keys. ARGV: number of puts, then key and value of each, then the keys to remove.
FILL = """
local puts = tonumber(ARGV[1])
for place = 2, puts * 2, 2 do
    redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
    redis.call('ZADD', KEYS[2], 0, ARGV[place])
end
for place = puts * 2 + 2, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[place])
    redis.call('ZREM', KEYS[2], ARGV[place])
end
redis.call('EXPIRE', KEYS[1], 60)
redis.call('EXPIRE', KEYS[2], 60)
"""

# KEYS: revisions, staging, then for each collection: data, keys, marks, log. ARGV: header, then the changes unless they
# are staged. With `switch`, the copy of one collection takes its place, if nobody has changed it meanwhile; the keys of
# the copy come last. A revision starts at the server's clock, so that it still grows after the server came back empty.
WRITE = (
    f"""
local PARTS, STEP, KEPT, LOGGED = {PARTS}, 300, {MARKS_KEPT}, {LOGGED_CHANGES}
"""
    + """
local header = cjson.decode(ARGV[1])
if header.staged and redis.call('LLEN', KEYS[2]) ~= header.count * PARTS then return {'lost'} end
local function changes(from, to)
    if header.staged then return redis.call('LRANGE', KEYS[2], (from - 1) * PARTS, to * PARTS - 1) end
    local found = {}
    for place = (from - 1) * PARTS + 2, to * PARTS + 1 do found[#found + 1] = ARGV[place] end
    return found
end
local function each(visit)
    for from = 1, header.count, STEP do
        local to = math.min(from + STEP - 1, header.count)
        visit(from, to, changes(from, to))
    end
end
local function keys_of(collection) return unpack(KEYS, collection * 4 - 1, collection * 4 + 2) end
local function number(value) return string.format('%.0f', value) end

local versions, conflict = {}, nil
each(function(from, to, list)
    local wanted = {}
    for place = from, to do
        local base = (place - from) * PARTS
        local collection = tonumber(list[base + 1])
        local of = wanted[collection] or {keys = {}, places = {}}
        wanted[collection] = of
        of.keys[#of.keys + 1] = list[base + 2]
        of.places[#of.places + 1] = place
    end
    for collection, of in pairs(wanted) do
        local found = redis.call('HMGET', (keys_of(collection)), unpack(of.keys))
        for index, place in ipairs(of.places) do
            local expected = list[(place - from) * PARTS + 3]
            local version = found[index] and tonumber(string.match(found[index], '^%d+')) or 0
            versions[place] = version
            if expected ~= '' and tonumber(expected) ~= version and (conflict == nil or place < conflict) then
                conflict = place
            end
        end
    end
end)
if conflict then return {'conflict', conflict, versions[conflict]} end

local switch = header.switch
if switch then
    local data, keys = keys_of(switch.collection)
    local name = header.collections[switch.collection].name
    local found = redis.call('HMGET', KEYS[1], name, name .. '\\0token')
    if (found[1] or '0') ~= switch.revision or (found[2] or '') ~= switch.token then return {'moved'} end
    local size = redis.call('HLEN', KEYS[#KEYS - 1])
    if size ~= redis.call('HLEN', data) + switch.grows then return {'moved'} end
    redis.call('UNLINK', data, keys)
    if size > 0 then
        redis.call('RENAME', KEYS[#KEYS - 1], data)
        redis.call('RENAME', KEYS[#KEYS], keys)
        redis.call('PERSIST', data)
        redis.call('PERSIST', keys)
    end
end

local changed = {}
for collection = 1, #header.collections do changed[collection] = {} end
each(function(from, to, list)
    local puts, order, gone = {}, {}, {}
    for place = from, to do
        local base = (place - from) * PARTS
        local collection, key, data = tonumber(list[base + 1]), list[base + 2], list[base + 5]
        local all = changed[collection]
        if string.byte(data) == 43 then
            versions[place] = tonumber(list[base + 4]) or versions[place] + 1
            puts[collection], order[collection] = puts[collection] or {}, order[collection] or {}
            local rows, line = puts[collection], order[collection]
            rows[#rows + 1] = key
            rows[#rows + 1] = number(versions[place]) .. ':' .. string.sub(data, 2)
            line[#line + 1] = 0
            line[#line + 1] = key
            all[#all + 1] = key
        elseif versions[place] > 0 then
            gone[collection] = gone[collection] or {}
            gone[collection][#gone[collection] + 1] = key
            all[#all + 1] = key
        end
    end
    for collection, rows in pairs(puts) do
        local data, keys = keys_of(collection)
        redis.call('HSET', data, unpack(rows))
        redis.call('ZADD', keys, unpack(order[collection]))
    end
    for collection, list_of in pairs(gone) do
        local data, keys = keys_of(collection)
        redis.call('HDEL', data, unpack(list_of))
        redis.call('ZREM', keys, unpack(list_of))
    end
end)
if header.staged then redis.call('UNLINK', KEYS[2]) end

local steps = {}
for collection, of in ipairs(header.collections) do
    local name, joins, all = of.name, of.joins, changed[collection]
    local _, _, marks, log = keys_of(collection)
    local found = redis.call('HMGET', KEYS[1], name, name .. '\\0token')
    local revision, token = found[1] or '0', found[2] or ''
    local before = {revision, token}
    local switched = switch and switch.collection == collection
    if of.followed and (#all > 0 or #joins > 0 or switched) then
        local last = tonumber(revision)
        if not found[1] then
            local now = redis.call('TIME')
            last = tonumber(now[1]) * 1000000 + tonumber(now[2])
        end
        for _, join in ipairs(joins) do
            last = math.max(last, tonumber(join[1]))
            redis.call('ZADD', marks, join[1], join[2])
        end
        revision, token = number(last + 1), of.token
        redis.call('ZADD', marks, revision, token)
        redis.call('ZREMRANGEBYRANK', marks, 0, -(KEPT + 1))
        local floor = nil
        if #joins == 0 and #all <= LOGGED and not switched then
            for _, key in ipairs(all) do redis.call('ZADD', log, revision, key) end
            local extra = redis.call('ZCARD', log) - KEPT
            if extra > 0 then
                floor = redis.call('ZRANGE', log, extra - 1, extra - 1, 'WITHSCORES')[2]
                redis.call('ZREMRANGEBYRANK', log, 0, extra - 1)
            end
        else
            floor = revision
        end
        redis.call('HSET', KEYS[1], name, revision, name .. '\\0token', token)
        if floor then redis.call('HSET', KEYS[1], name .. '\\0floor', floor) end
    end
    steps[collection] = {before[1], before[2], revision, token}
end
return {'written', versions, steps}
"""
)

# KEYS: revisions, data, marks, log. ARGV: collection, revision and token that the reader knows ('' for none).
# A revision without a mark was made by a version of this package that did not log its changes: then all is read.
READ = """
local name, since, token = ARGV[1], ARGV[2], ARGV[3]
local found = redis.call('HMGET', KEYS[1], name, name .. '\\0token', name .. '\\0floor')
local mark = {found[1] or '0', found[2] or ''}
if since ~= '' and tonumber(since) == tonumber(mark[1]) and token == mark[2] then return {mark, 'same', {}} end
local continues = false
if since ~= '' then
    if token == '' then
        continues = tonumber(mark[1]) >= tonumber(since)
    else
        local score = redis.call('ZSCORE', KEYS[3], token)
        continues = score and tonumber(score) == tonumber(since)
    end
end
if not continues then return {mark, 'other', redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')} end
local after = '(' .. since
local marks = redis.call('ZRANGEBYSCORE', KEYS[3], after, '+inf', 'WITHSCORES')
local covered = tonumber(since) >= tonumber(found[3] or '0') and #marks / 2 == tonumber(mark[1]) - tonumber(since)
local keys = covered and redis.call('ZRANGEBYSCORE', KEYS[4], after, '+inf') or {}
if not covered or #keys > 2000 then return {mark, 'whole', marks} end
local values = #keys > 0 and redis.call('HMGET', KEYS[2], unpack(keys)) or {}
return {mark, 'changes', marks, keys, values}
"""

# KEYS: revisions, data. ARGV: collection. For readers that were overtaken again and again.
WHOLE = """
local found = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[1] .. '\\0token')
return {{found[1] or '0', found[2] or ''}, redis.call('HGETALL', KEYS[2])}
"""

SCAN = """
local keys = redis.call(ARGV[1], KEYS[2], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
if #keys == 0 then return {{}, {}} end
return {keys, redis.call('HMGET', KEYS[1], unpack(keys))}
"""
