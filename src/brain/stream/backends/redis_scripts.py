"""The Lua scripts of the Redis backend: what must happen as one step.

A refusal is an error reply that starts with MARK or FENCED; redis.py turns it into an exception. What serves consuming
is allowed on a server that is full (allow-oom), since consuming is what lets events be trimmed:
https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags
"""

from __future__ import annotations

_ALWAYS = "#!lua flags=allow-oom\n"
_MEMBER = (
    _ALWAYS
    + """
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then
    return redis.error_reply('FENCED group ' .. ARGV[1] .. ': ' .. ARGV[2] .. ' is not a member any more')
end
"""
)

_IDENTIFY = """
if redis.call('HEXISTS', KEYS[3], 'id') == 0 then
    local info, last = redis.pcall('XINFO', 'STREAM', KEYS[1]), ''
    for i = 1, #info, 2 do if info[i] == 'last-generated-id' and info[i + 1] ~= '0-0' then last = info[i + 1] end end
    redis.call('HSET', KEYS[3], 'id', ARGV[4], 'born', last, 'schema', 1)
end
"""

SCRIPTS = {
    # KEYS events marks identity, ARGV - - - token. Gives the fields of the identity.
    "identity": _ALWAYS
    + _IDENTIFY
    + """
return redis.call('HMGET', KEYS[3], 'id', 'born', 'trimmed', 'branches', 'schema')
""",
    # KEYS events identity, ARGV token position ('' for the end). A branch is a line: its token, a space, its position.
    "branch": _ALWAYS
    + """
local position = ARGV[2]
if position == '' then
    local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do if info[i] == 'last-generated-id' then position = info[i + 1] end end
    if position == '0-0' then position = '' end
end
local known = redis.call('HGET', KEYS[2], 'branches') or ''
redis.call('HSET', KEYS[2], 'branches', known .. ARGV[1] .. ' ' .. position .. '\\n')
return position
""",
    # KEYS events identity, ARGV position, and the one after it. Redis itself does not keep what XTRIM deleted last.
    "trim": _ALWAYS
    + """
local last = redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', 1)
if #last == 0 then return 0 end
redis.call('HSET', KEYS[2], 'trimmed', last[1][1])
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
""",
    # KEYS events marks identity, ARGV producer previous mark token data... Gives the first position; the others follow
    # it by one each. A stream that has no identity yet is given one, with the token.
    "append": """#!lua
local call, events, records = redis.call, KEYS[1], ARGV
local stored = call('HGET', KEYS[2], ARGV[1]) or ''
if stored == ARGV[3] then return '' end
if stored ~= ARGV[2] then return redis.error_reply('MARK ' .. stored) end
"""
    + _IDENTIFY
    + """
local first = ''
if records[5] then
    first = call('XADD', events, '*', 'e', records[5])
    local same_ms = string.match(first, '^%d+') .. '-*'
    for i = 6, #records do call('XADD', events, same_ms, 'e', records[i]) end
end
call('HSET', KEYS[2], ARGV[1], ARGV[3])
return first
""",
    # KEYS events patterns, ARGV group pattern start
    "create_group": _ALWAYS
    + """
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[3], 'MKSTREAM')
if made['err'] and not string.find(made['err'], 'BUSYGROUP', 1, true) then return made end
return redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
""",
    # KEYS events patterns members(old new) attempts(old new) dead(old new), ARGV old new data... What is held goes to a
    # consumer that is no member, so that whoever joins first takes it over. `data` is appended for the group alone.
    "rename_group": _ALWAYS
    + """
local found, events, old, new = {}, KEYS[1], ARGV[1], ARGV[2]
for _, info in ipairs(redis.call('XINFO', 'GROUPS', events)) do
    local row = {}
    for i = 1, #info, 2 do row[info[i]] = info[i + 1] end
    found[row['name']] = row
end
if not found[old] or found[new] then return 0 end
local create = {'XGROUP', 'CREATE', events, new, found[old]['last-delivered-id']}
if found[old]['entries-read'] then
    create[6], create[7] = 'ENTRIESREAD', found[old]['entries-read']
end
redis.call(unpack(create))
local start = '-'
while true do
    local held = redis.call('XPENDING', events, old, start, '+', 500)
    if #held == 0 then break end
    local claim = {'XCLAIM', events, new, old, 0}
    for _, entry in ipairs(held) do claim[#claim + 1] = entry[1] end
    start = '(' .. claim[#claim]
    claim[#claim + 1] = 'FORCE'
    claim[#claim + 1] = 'JUSTID'
    redis.call(unpack(claim))
end
for i = 3, #ARGV do redis.call('XADD', events, '*', 'e', ARGV[i], 'g', new) end
redis.call('HSET', KEYS[2], new, redis.call('HGET', KEYS[2], old) or '*')
redis.call('HDEL', KEYS[2], old)
redis.call('DEL', KEYS[3])
for i = 5, 7, 2 do
    if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 1]) end
end
redis.call('XGROUP', 'DESTROY', events, old)
return 1
""",
    # KEYS owners, ARGV group owner previous
    "set_owner": _ALWAYS
    + """
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[3] then return stored end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]
""",
    # KEYS blocks parts, ARGV number block part...
    "add_index_block": """#!lua
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
for i = 3, #ARGV do redis.call('HSET', KEYS[2], ARGV[1] .. ':' .. (i - 3), ARGV[i]) end
return 1
""",
    # KEYS events members, ARGV group consumer
    "join": _ALWAYS
    + """
redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSETNX', KEYS[2], ARGV[2], 0)
return 1
""",
    "heartbeat": _MEMBER
    + """
redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
return redis.call('HGETALL', KEYS[2])
""",
    # KEYS members, ARGV consumer heartbeats
    "expel": _ALWAYS
    + """
if ARGV[2] == '' or redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
""",
    # KEYS events members attempts, ARGV group consumer. Empty consumers of former members are removed.
    "take_over": _MEMBER
    + """
local taken = {}
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local row = {}
    for i = 1, #info, 2 do row[info[i]] = info[i + 1] end
    if redis.call('HEXISTS', KEYS[2], row['name']) == 0 then
        while true do
            local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 500, row['name'])
            if #held == 0 then break end
            local claim = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0}
            for _, entry in ipairs(held) do claim[#claim + 1] = entry[1] end
            for _, entry in ipairs(redis.call(unpack(claim))) do
                if entry then
                    local attempts = redis.call('HGET', KEYS[3], entry[1]) or '1'
                    taken[#taken + 1] = {entry[1], entry[2][2], attempts}
                end
            end
        end
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], row['name'])
    end
end
return taken
""",
    # KEYS events members, ARGV group consumer known reached count position... The member holds these of the `count`
    # events from `known` to `reached`. Gives whether the group stood at `known`, and where it stands now.
    "hold": _MEMBER
    + """
local stands, read
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local row = {}
    for i = 1, #info, 2 do row[info[i]] = info[i + 1] end
    if row['name'] == ARGV[1] then stands, read = row['last-delivered-id'], row['entries-read'] end
end
if not stands then return redis.error_reply('NOGROUP ' .. ARGV[1]) end
if stands ~= ARGV[3] then return {0, stands} end
if ARGV[5] == '0' then return {1, stands} end
for first = 6, #ARGV, 500 do
    local claim = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ARGV, first, math.min(first + 499, #ARGV))}
    claim[#claim + 1] = 'FORCE'
    claim[#claim + 1] = 'JUSTID'
    redis.call(unpack(claim))
end
if read then
    redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[4], 'ENTRIESREAD', read + tonumber(ARGV[5]))
else
    redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[4])
end
return {1, ARGV[4]}
""",
    # KEYS events members attempts, ARGV group consumer positions (with a space between two)
    "ack": _MEMBER
    + """
local positions = {}
for position in string.gmatch(ARGV[3], '%S+') do positions[#positions + 1] = position end
if #positions == 0 then return 0 end
if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('HDEL', KEYS[3], unpack(positions)) end
return redis.call('XACK', KEYS[1], ARGV[1], unpack(positions))
""",
    # KEYS events attempts, ARGV group position. Delivery itself was the first attempt.
    "count_attempt": _ALWAYS
    + """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then
    return redis.error_reply('FENCED group ' .. ARGV[1] .. ': ' .. ARGV[2] .. ' is not held')
end
redis.call('HSETNX', KEYS[2], ARGV[2], 1)
return redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
""",
    # KEYS events members attempts dead, ARGV group consumer position letter
    "dead_letter": _MEMBER
    + """
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
redis.call('HDEL', KEYS[3], ARGV[3])
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
""",
    # KEYS events dead, ARGV group position data
    "redrive": """#!lua
if redis.call('HDEL', KEYS[2], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', 'e', ARGV[3], 'g', ARGV[1])
return 1
""",
    # KEYS events, ARGV after count. Gives the position of the last of the next `count` events, and how many there were.
    "skip": """#!lua flags=no-writes
local rows = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
if #rows == 0 then return {'', 0} end
return {rows[#rows][1], #rows}
""",
}
