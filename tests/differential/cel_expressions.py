"""Expressions for area_cel: every function of Kubernetes' CEL libraries, with good and with bad arguments.

Each line is one expression. `VALUES` compile and give a value, or an error when they run; `FAULTS` are refused when
they are read; `COSTLY` are rules over lists and texts with known limits, most of which are refused as too costly.
Values of kinds that have no text of their own are written as one that has.
"""

VALUES = {
    'language': r'''
1 + 2 * 3 - 4
-7 / 2
-7 % 3
7u / 2u
1.5 * 2.0
1.0 / 0.0
1 / 0
5 % 0
9223372036854775807 + 1
-9223372036854775808 - 1
9223372036854775807 * 2
1u - 2u
"a" + "b"
[1] + [2, 3]
b"ab" + b"c"
1 < 2.5
2 > 1u
"a" < "b"
true && false || true
!true
true ? 1 : 2
2 in [1, 2]
"a" in {"a": 1}
{"a": 1, "b": 2}["b"]
{"a": 1}["z"]
{"a": 1}.z
[1, 2][1]
[1, 2][5]
[1, 2][-1]
{1: "x"}[1]
null == null
type(1) == int
type("a") == string
type([1]) == list
size("héllo")
"héllo".size()
size([1, 2, 3])
size({"a": 1})
size(b"abc")
[1, 2, 3].all(x, x > 0)
[1, 2, 3].exists(x, x > 2)
[1, 2, 3].exists_one(x, x > 2)
[1, 2, 3].map(x, x * 2)
[1, 2, 3].map(x, x > 1, x * 2)
[1, 2, 3].filter(x, x > 1)
{"a": 1, "b": 2}.all(k, k != "z")
{"a": 1}.map(k, k)
{"a": 1, "b": 2}.exists(k, k == "b")
[1, 0].all(x, 1 / x > 0)
[0, 1].exists(x, 1 / x > 0)
[0].exists(x, 1 / x > 0)
has({"a": 1}.a)
has({"a": 1}.b)
dyn(1) == 1
dyn("a") + dyn("b")
dyn(1) + dyn("a")
r"a\nb"
"tab\tquote\"é\x41"
"""three "quotes" """
0x1f
1e3
1.5e-2
''',
    'conversions': r'''
int("42")
int(3.9)
int(-3.9)
int(7u)
int(timestamp("2020-01-01T00:00:00Z"))
uint("42")
uint(3.7)
double("1.5")
double(3)
string(b"abc")
bool("true")
bool("True")
bool("1")
bytes("é")
timestamp("2020-02-30T00:00:00Z" + "")
timestamp("x" + "")
timestamp(0)
timestamp("2020-01-01T00:00:00Z") + duration("1h")
timestamp("2020-01-01T00:00:00Z") - timestamp("2019-01-01T00:00:00Z")
timestamp("9999-12-31T23:59:59Z") + duration("1h")
timestamp("2020-01-01T00:00:00Z") < timestamp("2021-01-01T00:00:00Z")
timestamp("2020-03-04T05:06:07.008Z").getFullYear()
timestamp("2020-03-04T05:06:07.008Z").getMonth()
timestamp("2020-03-04T05:06:07.008Z").getDate()
timestamp("2020-03-04T05:06:07.008Z").getDayOfMonth()
timestamp("2020-03-04T05:06:07.008Z").getDayOfWeek()
timestamp("2020-03-04T05:06:07.008Z").getDayOfYear()
timestamp("2020-03-04T05:06:07.008Z").getHours()
timestamp("2020-03-04T05:06:07.008Z").getMinutes()
timestamp("2020-03-04T05:06:07.008Z").getSeconds()
timestamp("2020-03-04T05:06:07.008Z").getMilliseconds()
timestamp("2020-03-04T05:06:07Z").getHours("America/New_York")
timestamp("2020-03-04T05:06:07Z").getHours("+02:30")
timestamp("2020-03-04T05:06:07Z").getHours("Nowhere/Land")
duration("1h30m").getHours()
duration("1h30m").getMinutes()
duration("1h30m").getSeconds()
duration("1.5s").getMilliseconds()
duration("1h") + duration("30m")
duration("1h") - duration("90m")
duration("1h") > duration("59m")
duration("1" + "h")
duration("abc" + "")
duration("1d" + "")
''',
    'strings': r'''
"hello".indexOf("l")
"hello".indexOf("l", 3)
"hello".indexOf("")
"hello".indexOf("z")
"hello".indexOf("l", 9)
"hello".lastIndexOf("l")
"hello".lastIndexOf("l", 2)
"hello".lastIndexOf("")
"hello".lastIndexOf("l", -1)
"HéLLo".lowerAscii()
"héllo".upperAscii()
"a-b-a".replace("a", "x")
"a-b-a".replace("a", "x", 1)
"a-b-a".replace("a", "x", 0)
"a-b-a".replace("a", "x", -1)
"abc".replace("", "-")
"a,b,c".split(",")
"a,b,c".split(",", 2)
"a,b,c".split(",", 0)
"a,b,c".split(",", 1)
"abc".split("")
"".split(",")
"hello".substring(2)
"hello".substring(1, 3)
"hello".substring(5)
"hello".substring(6)
"hello".substring(3, 1)
"hello".substring(-1)
"hello".substring(0, 9)
"  hi\t\n".trim()
[].join(",")
dyn([1, 2]).join(",")
"hello".startsWith("he")
"hello".endsWith("lo")
"hello".contains("ell")
"hello".matches("^h.*o$")
"hello".matches("l{2}")
matches("hello", "x")
"hello".matches("[" + "a")
strings.quote("a\"b\n")
strings.quote("é\t\\")
strings.quote("\u0007\u000b")
''',
    'lists': r'''
[1, 2, 3].isSorted()
[3, 1].isSorted()
[1.5, 1.0].isSorted()
[].isSorted()
[true, false].isSorted()
[duration("1s"), duration("2s")].isSorted()
[timestamp(1), timestamp(0)].isSorted()
[1, 2, 3].sum()
[1.5, 2.5].sum()
[1u, 2u].sum()
[duration("1s"), duration("1m")].sum()
[].sum()
[9223372036854775807, 1].sum()
[1, 3, 2].min()
[1, 3, 2].max()
[1.5, 0.5].min()
[].min()
[].max()
[1, 2, 1].indexOf(1)
[1, 2, 1].lastIndexOf(1)
[1, 2].indexOf(9)
[[1], [2]].indexOf([2])
[1, 2].reverse()
[].reverse()
[1, 2, 3, 4].slice(1, 3)
[1, 2].slice(0, 5)
[1, 2].slice(-1, 1)
[[1, 2], [3]].flatten()
[1].flatten(-1)
[1, 2, 1, 3, 2].distinct()
["a", "a"].distinct()
[3, 1, 2].sort()
["b", "a"].sort()
[].sort()
[true, false].sort()
[3, 1, 2].sortBy(x, -x)
["bb", "a"].sortBy(x, size(x))
[{"n": 2}, {"n": 1}].sortBy(e, e.n)
[].sortBy(x, x)
lists.range(4)
lists.range(0)
lists.range(-1)
[1, 2].first().value()
[].first().hasValue()
[1, 2].last().value()
[].last().orValue(7)
[1, 2].first().orValue(0)
''',
    'sets': r'''
sets.contains([1, 2, 3], [1])
sets.contains([1], [1, 2])
sets.contains([], [])
sets.equivalent([1, 2], [2, 1, 1])
sets.equivalent([], [1])
sets.intersects([1], [1, 2])
sets.intersects([], [])
sets.intersects(["a"], ["b"])
''',
    'regex': r'''
"abc 123".find("[0-9]+")
"abc".find("[0-9]+")
"abc 123".find("")
"abc".find("(" + "")
"123 abc 456".findAll("[0-9]+")
"123 abc 456".findAll("[0-9]+", 1)
"123 abc 456".findAll("[0-9]+", 0)
"123 abc 456".findAll("[0-9]+", -1)
"abc".findAll("x")
"aaa".findAll("a*")
"é1".find(".")
"abc".findAll("[" + "")
"x".matches("(?=a)" + "")
"x".matches("\\p{L}")
"a\nb".matches("a.b")
"a\nb".matches("(?s)a.b")
''',
    'urls': r'''
isURL("https://example.com:80/a/b?x=1&y=2#f")
isURL("/absolute/path")
isURL("relative")
isURL("")
isURL("https://a:port/")
isURL("://a")
isURL("mailto:a@b.c")
isURL("http://[::1]:80/")
isURL("http://a b/")
isURL("http://x/%zz")
isURL("https:///path")
url("https://user:pw@example.com:80/a%20b/c?x=1&x=2").getQuery()["x"]
url("http://a.io/") == url("http://a.io/")
''',
    'ip': r'''
isIP("127.0.0.1")
isIP("::1")
isIP("1.2.3")
isIP("01.2.3.4")
isIP("::ffff:1.2.3.4")
isIP("fe80::1%eth0")
isIP("")
ip.isCanonical("127.0.0.1")
ip.isCanonical("2001:DB8::1")
ip.isCanonical("2001:db8:0::1")
ip.isCanonical("x")
ip("127.0.0.1").family()
ip("::1").family()
ip("x").family()
ip("1.2.3.256").family()
ip("1.2.3").family()
ip("fe80::1%eth0").family()
ip("::ffff:1.2.3.4").family()
ip("0.0.0.0").isUnspecified()
ip("::").isUnspecified()
ip("127.1.2.3").isLoopback()
ip("::1").isLoopback()
ip("224.0.0.1").isLinkLocalMulticast()
ip("ff02::1").isLinkLocalMulticast()
ip("169.254.1.1").isLinkLocalUnicast()
ip("fe80::1").isLinkLocalUnicast()
ip("10.0.0.1").isGlobalUnicast()
ip("255.255.255.255").isGlobalUnicast()
ip("224.0.0.1").isGlobalUnicast()
ip("10.0.0.1") == ip("10.0.0.1")
ip("::1") == ip("0:0::1")
''',
    'cidr': r'''
isCIDR("10.0.0.0/8")
isCIDR("10.0.0.1/8")
isCIDR("10.0.0.0/33")
isCIDR("10.0.0.0")
isCIDR("::/0")
isCIDR("::ffff:1.2.3.0/120")
isCIDR("10.0.0.0/08")
cidr("10.0.0.0/8").containsIP("10.1.2.3")
cidr("10.0.0.0/8").containsIP("11.0.0.0")
cidr("10.0.0.0/8").containsIP(ip("10.1.1.1"))
cidr("10.0.0.0/8").containsIP("::1")
cidr("10.0.0.0/8").containsIP("x")
cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16")
cidr("10.0.0.0/8").containsCIDR(cidr("10.0.0.0/7"))
cidr("10.0.0.0/8").containsCIDR("x")
cidr("10.0.0.0/8").containsCIDR("10.1.1.1")
cidr("10.0.0.0/8").prefixLength()
cidr("::/64").prefixLength()
cidr("10.0.0.0/8") == cidr("10.0.0.0/8")
cidr("10.0.0.0/8") == cidr("10.0.0.1/8")
cidr("x").prefixLength()
cidr("10.0.0.0/33").prefixLength()
cidr("10.0.0.0").prefixLength()
cidr("10.0.0/8").prefixLength()
cidr("fe80::1%eth0/64").prefixLength()
cidr("::ffff:1.2.3.0/120").prefixLength()
''',
    'quantity': r'''
isQuantity("1Gi")
isQuantity("1.5")
isQuantity("1e3")
isQuantity("-1m")
isQuantity("x")
isQuantity("1Zi")
isQuantity("")
quantity("1Gi").isGreaterThan(quantity("1Mi"))
quantity("1Gi").isLessThan(quantity("1G"))
quantity("1").compareTo(quantity("1000m"))
quantity("1").compareTo(quantity("2"))
quantity("50k").asInteger()
quantity("1.5").asInteger()
quantity("1.5").isInteger()
quantity("9999999999999999999G").isInteger()
quantity("9999999999999999999G").asInteger()
quantity("1.5").asApproximateFloat()
quantity("1Ki").asApproximateFloat()
quantity("1").add(quantity("500m")).asApproximateFloat()
quantity("1").add(2).asInteger()
quantity("1").sub(quantity("500m")).asApproximateFloat()
quantity("1").sub(2).asInteger()
sign(quantity("-1"))
sign(quantity("0"))
quantity("-1").sub(1) == quantity("-2")
quantity("1") == quantity("1000m")
quantity("x").asInteger()
quantity("").asInteger()
quantity("1Zi").asInteger()
quantity("1.2.3").asInteger()
''',
    'semver': r'''
isSemver("1.2.3")
isSemver("1.2.3-rc.1+build")
isSemver("v1.2.3")
isSemver("1.2")
isSemver("1.02.3")
isSemver("")
isSemver("v1.2", true)
isSemver("v1.2", false)
isSemver("01.02.03", true)
isSemver("x", true)
semver("1.2.3").major()
semver("1.2.3").minor()
semver("1.2.3").patch()
semver("v1", true).minor()
semver("1.2.3").isLessThan(semver("1.10.0"))
semver("1.2.3").isGreaterThan(semver("1.2.3-rc.1"))
semver("1.2.3-alpha").compareTo(semver("1.2.3-alpha.1"))
semver("1.2.3+a").compareTo(semver("1.2.3+b"))
semver("1.2.3") == semver("1.2.3")
semver("1.2.3+a") == semver("1.2.3+b")
semver("1.2").major()
semver("x.y.z").major()
semver("1.2.x").major()
semver("01.2.3").major()
semver("1.2.3-01").major()
semver("1.2.3-").major()
semver("1.2.3+").major()
semver("1.2.3-a_b").major()
semver("").major()
semver("1.2-rc", true).major()
semver("99999999999999999999.0.0").major()
''',
    'format': r'''
format.dns1123Label().validate("ok").hasValue()
format.dns1123LabelPrefix().validate("a-").hasValue()
format.dns1123SubdomainPrefix().validate("a.b-").hasValue()
format.labelValue().validate("").hasValue()
format.uri().validate("https://a.io").hasValue()
format.uuid().validate("123e4567-e89b-12d3-a456-426614174000").hasValue()
format.byte().validate("aGk=").hasValue()
format.date().validate("2020-01-02").hasValue()
format.datetime().validate("2020-01-02T03:04:05Z").hasValue()
format.named("dns1123Label").hasValue()
format.named("nope").hasValue()
format.dns1123Label() == format.dns1123Label()
''',
    'pairs': r'''
[1, 2].all(i, v, v > i)
[1, 2].exists(i, v, i == 1 && v == 2)
[1, 2].existsOne(i, v, v > 0)
[1, 2].exists_one(i, v, v > 1)
{"a": 1}.all(k, v, k == "a" && v == 1)
[1, 2, 3].transformList(i, v, i * v)
[1, 2, 3].transformList(i, v, i > 0, v)
{"a": 1}.transformList(k, v, k)
{"a": 1, "b": 2}.transformMap(k, v, v * 2)
{"a": 1, "b": 2}.transformMap(k, v, v > 1, v)
[5, 6].transformMap(i, v, v)
[5, 6].transformMapEntry(i, v, {string(v): i})
[5, 5].transformMapEntry(i, v, {string(v): i})
[5, 6].transformMapEntry(i, v, v > 5, {v: i})
{"a": "b"}.transformMapEntry(k, v, {v: k})
''',
    'optional': r'''
optional.of(1).hasValue()
optional.none().hasValue()
optional.of(1).value()
optional.ofNonZeroValue(0).hasValue()
optional.none().orValue(3)
optional.of(1).or(optional.of(2)).value()
optional.none().or(optional.of(2)).value()
{"a": {"b": 1}}.?a.?b.orValue(0)
{"a": {"b": 1}}.?z.?b.orValue(0)
{"a": 1}[?"a"].value()
{"a": 1}[?"z"].hasValue()
[1, 2][?1].value()
[1, 2][?7].hasValue()
optional.of(2).optMap(x, x * 2).value()
optional.none().optMap(x, x).hasValue()
optional.of(2).optFlatMap(x, optional.of(x + 1)).value()
optional.of([1]).optMap(l, l.size()).orValue(0)
has({"a": {"b": 1}}.?a.b)
optional.of(1) == optional.of(1)
optional.of(1) == optional.none()
[1].first().optMap(x, x + 1).value()
''',
    'more': r'''
string(1)
string(1.5)
string(1e21)
string(1.0)
string(true)
string(7u)
string(timestamp("2020-01-01T00:00:00.5Z"))
string(duration("90m1.5s"))
"hello".charAt(1)
"hello".charAt(5)
"hello".charAt(6)
"hello".charAt(-1)
"a,b,c".split(",", -1)
["a", "b"].join()
["a", "b"].join("-")
"%s %d %f".format(["a", 1, 1.5])
"%.2f %e %x %X %o %b %%".format([1.234, 1200.0, 255, 255, 8, 5])
"%x %X".format(["hi", b"hi"])
"%s".format([[1, "a", true, null]])
"%s".format([{"a": 1, "b": [2]}])
"%s".format([{1: 2.5}])
"%s".format([timestamp("2020-01-01T00:00:00Z")])
"%s".format([duration("1h")])
"%s".format([b"abc"])
"%s".format([type(1)])
"%.1s".format(["abc"])
"%b".format([true])
"%e".format([0.0])
"%x".format([-255])
"%s".format([1.0 / 3.0])
"%s".format([1e100])
"%.3e".format([123456.789])
["a", "b"].isSorted()
[b"a", b"b"].isSorted()
["b", "a"].min()
["b", "a"].max()
["a"].indexOf("a")
[1, 2].slice(2, 1)
url("https://user:pw@example.com:80/a%20b/c?x=1&x=2&y#f").getScheme()
url("https://user:pw@example.com:80/a%20b/c?x=1&x=2&y#f").getHost()
url("https://user:pw@example.com:80/a%20b/c?x=1&x=2&y#f").getHostname()
url("https://user:pw@example.com:80/a%20b/c?x=1&x=2&y#f").getPort()
url("https://user:pw@example.com:80/a%20b/c?x=1&x=2&y#f").getEscapedPath()
url("https://example.com?k%20a=v%26&b=a+b").getQuery()
url("https://example.com/a b/é").getEscapedPath()
url("https://[::1]:8080/").getHost()
url("https://[::1]:8080/").getHostname()
url("https://example.com").getEscapedPath()
url("https://example.com").getPort()
url("https://example.com").getQuery()
url("/path?x").getHost()
url("/path?x").getQuery()
url("mailto:a@b.c").getScheme()
url("mailto:a@b.c").getEscapedPath()
url("relative" + "").getHost()
url("../x").getHost()
url(":80").getHost()
url("https://a:b/").getHost()
url("http://a b/").getHost()
url("http://x/%zz").getHost()
url("").getHost()
url("http://[::1/").getHost()
url("1http://x").getHost()
url("HTTP://A.io/").getScheme()
string(ip("2001:DB8:0:0::1"))
string(ip("10.0.0.1"))
string(cidr("10.1.2.3/8").masked())
string(cidr("2001:db8::1/32").masked())
string(cidr("10.1.2.3/8").ip())
string(cidr("10.1.2.3/8"))
format.dns1123Label().validate("Not_ok").value()
format.dns1123Subdomain().validate("a..b").value()
format.dns1035Label().validate("1a").value()
format.qualifiedName().validate("a/b/c").value()
format.qualifiedName().validate("").value()
format.dns1123LabelPrefix().validate("A-").value()
format.dns1035LabelPrefix().validate("1-").value()
format.labelValue().validate("-").value()
format.uri().validate("x").value()
format.uri().validate("http://a b").value()
format.uri().validate("").value()
format.uuid().validate("x").value()
format.byte().validate("%%%").value()
format.date().validate("2020-13-02").value()
format.datetime().validate("2020-01-02").value()
format.named("dns1123Label").value().validate("A").value()
format.named("nope").value().validate("A").value()
format.dns1123Label().validate("x" + "y").orValue(["z"])
optional.none().value()
optional.ofNonZeroValue("a").value()
''',
}

FAULTS = {
    'refused': r'''
1 == 1.0
1u == 1
[1, 2][1.0]
{"a": 1} == {"a": 1.0}
[1, 2] == [1.0, 2.0]
[1, 2, 3].existsOne(x, x > 1)
dyn([1, "a"])
int("x")
int("9223372036854775808")
int(1e30)
uint("-1")
uint(-1)
double("abc")
double("1e400")
string(b"\xff")
bool("yes")
string(type(1))
duration("")
"%d".format(["x"])
"%s %s".format(["a"])
"%s".format(["a", "b"])
"%z".format([1])
"%f".format([1])
"%".format([])
"%d".format([1.5])
dyn([1, "a"]).sum()
[1, 2].includes(2)
[1, 2].includes(3)
["a"].includes("a")
dyn("a").includes("a")
dyn("a").includes("b")
dyn(1).includes(1)
{"a": 1}.includes("a")
[1, [2, [3]]].flatten()
[[1, [2, [3]]]].flatten(2)
[1, 1.0].distinct()
sets.contains([1, 1.0], [1u])
[?optional.of(1), ?optional.none(), 2]
{?"a": optional.of(1), ?"b": optional.none()}
''',
    'references': r'''
nope
nope.a
self.nope
self.s.nope
self.n.nope
nope(1)
self.s.nope()
self.m.a.nope
self.o.x.y
self.l.nope
self.l.a
strings.nope("a")
sets.nope([1], [2])
format.nope()
math.greatest(1, 2)
base64.encode(b"a")
cel.bind(x, 1, x)
optional.nope(1)
Foo{a: 1}
Object{spec: 1}
self.s.all(x, true)
self.n.all(x, true)
has(self)
has(self.nope)
has(1)
[1].all(1, true)
[1].all(x.y, true)
[1].map(x)
[1].all(x, x, true)
oldSelf == self
authorizer.group("").resource("pods").check("get").allowed()
object.a
jsonpatch.escapeKey("a")
''',
    'types': r'''
1
"a"
self
self.s
self.n
self.l
null
1 + "a" == 2
1 + 1.0 == 2.0
1 + 1u == 2u
"a" - "b" == ""
"a" * 2 == ""
true + true
!1
-"a" == ""
-true
1 && true
"a" || true
1 ? true : false
true ? 1 : "a"
true ? self.s : self.n
1 == "a"
self.s == 1
self.n == "a"
self.b == 1
self.l == [1]
self.l == {"a": "b"}
self.o == "x"
self.o == self.l
self.s < 1
self.l < self.l
self.o < self.o
self.b < "a"
null == 1
self.s == null
self.o == null
"a" in "abc"
1 in self.l
"a" in self.s
1 in self.m
self.l["a"] == ""
self.l[self.s] == ""
self.m[1] == ""
self.o["a"] == 1
self.s[0] == "a"
self.n[0]
size(1) == 1
size(self.n) == 1
self.n.size() == 1
size(self.s, 1) == 1
self.s.size(1) == 1
size() == 1
[1, "a"] == []
[1, 1.0] == []
{"a": 1, "b": "x"} == {}
{1: 1, "b": 2} == {}
[[1], ["a"]] == []
[self.s, self.n] == []
self.s.startsWith(1)
self.n.startsWith("a")
self.s.startsWith()
self.s.contains("a", "b")
self.s.matches(1)
self.l.startsWith("a")
self.s.split(1) == []
self.s.split(",", "x") == []
self.s.replace("a") == ""
self.s.replace("a", 1) == ""
self.s.substring("a") == ""
self.s.charAt("a") == ""
self.s.indexOf(1) == 1
self.l.indexOf(1) == 1
self.l.join(1) == ""
[1, 2].join(",") == ""
self.s.lowerAscii(1) == ""
self.l.sum() == ""
self.l.isSorted() == 1
[[1]].isSorted()
[{}].min() == {}
self.l.min() == 1
self.s.format(1) == ""
"%d".format("a") == ""
strings.quote(1) == ""
self.l.slice("a", 1) == []
self.l.slice(1) == []
self.l.flatten("a") == []
self.l.distinct(1) == []
[{}].sort() == []
self.l.sortBy(x, [x]) == []
self.l.sortBy(1, x) == []
lists.range("a") == []
self.s.reverse() == ""
self.s.first().value() == "a"
sets.contains([1], ["a"])
sets.contains(1, [1])
sets.equivalent([1])
self.s.find(1) == ""
self.s.findAll("a", "b") == []
isURL(1)
url(1).getHost() == ""
url("https://a").getHost(1) == ""
self.s.getHost() == ""
isIP(1)
ip(1).family() == 4
ip("::1").family(1) == 4
self.s.family() == 4
ip("::1") == "::1"
ip("::1").containsIP("::1")
isCIDR(1)
cidr("::/0").containsIP(1)
cidr("::/0").prefixLength() == "a"
quantity(1).isInteger()
quantity("1") > quantity("2")
quantity("1") + quantity("2") == quantity("3")
quantity("1").add("2").isInteger()
quantity("1").sign() == 1
quantity("1") == 1
quantity("1").isLessThan(1)
semver(1).major() == 1
semver("1.2.3", "x").major() == 1
semver("1.2.3").isLessThan(quantity("1"))
semver("1.0.0") == "1.0.0"
isSemver("1", 1)
format.dns1123Label("a") == 1
format.dns1123Label().validate(1).hasValue()
format.named(1).hasValue()
format.dns1123Label() == "x"
optional.of(1) == 1
optional.of(1).value() == "a"
optional.of(1).orValue("a") == 1
optional.of(1).or(2).value() == 1
self.?s == "a"
self.?nope.hasValue()
self.?s.orValue(1) == ""
self.l[?"a"].hasValue()
self.s.?a.hasValue()
optional.of(1).optMap(1, 2).hasValue()
duration(1) == duration("1s")
timestamp(true) == timestamp(0)
timestamp("2020-01-01T00:00:00Z") + 1 == 1
timestamp("2020-01-01T00:00:00Z") - "a" == 1
timestamp(0).getFullYear(1) == 1
self.s.getFullYear() == 1
duration("1s").getFullYear() == 1
int(true) == 1
int([1]) == 1
double(true) == 1.0
bool(1)
string([1]) == ""
string({}) == ""
string(null) == ""
bytes(1) == b""
type(1, 2) == int
type(1) == "int"
dyn() == 1
uint(true) == 1u
b"a" == "a"
1u == "a"
self.l + "a" == []
self.l + [1] == []
self.m + self.m == {}
self.l.map(x, x + 1) == []
self.l.filter(x, x) == []
self.l.all(x, x)
self.l.exists(x, 1)
self.l.exists_one(x, "a")
self.m.all(k, v, v)
self.l.transformList(i, v, i + v) == []
self.l.transformMapEntry(i, v, v) == {}
self.l.all(i, i, true)
''',
    'syntax': r'''
self.
self.(
self ==
== 1
(self.b
self.b)
"a
'a
[1, 2
{1: 2
{"a"}
{a: 1} == {}
1 +
a b
self.b;
self.b & true
self.b = true
!
"\q" == ""
"\u12" == ""
1.2.3 == 1
0x == 1
1uu == 1
08 == 8
99999999999999999999 == 1
-9223372036854775809 == 1
for
self.if
self.namespace
import == 1
package.x
while
true true
self.s.matches("[")
self.s.matches("(")
self.s.matches("a**")
self.s.matches("\\")
self.s.matches("(?=a)")
self.s.find("[") == ""
self.s.findAll("(") == []
duration("1x") == duration("1s")
duration("") == duration("1s")
timestamp("2020") == timestamp(0)
timestamp("2020-01-01") == timestamp(0)
"%d %s".format([1]) == ""
"%z".format([1]) == ""
"%s".format([1, 2]) == ""
self..s
self.s..size()
.self
self.s.
self[
self[]
?self
self.?
@
#
$x
`x`
self.`s`
self.s // comment
"a" "b"
r'\'
'''
    + ' \n\t\n',
}

COSTLY = r'''
self.l.all(x, self.l.all(y, x == y))
self.l.all(x, self.l.all(y, x != y))
self.l.all(x, self.l.all(y, x < y))
self.l.all(x, self.l.exists(y, x.startsWith(y)))
self.l.all(x, self.l.exists(y, x.contains(y)))
self.l.all(x, self.l.exists(y, x.endsWith(y)))
self.l.all(x, self.l.exists(y, x.matches(y)))
self.l.all(x, self.l.exists(y, x.matches("^[a-z]+$")))
self.l.all(x, self.l.exists(y, x.find(y) == ""))
self.l.all(x, self.l.exists(y, x.findAll(y).size() == 1))
self.l.all(x, self.l.exists(y, x.split(y).size() == 1))
self.l.all(x, self.l.exists(y, x.split(y, 3).all(z, z == "a")))
self.l.all(x, self.l.exists(y, x.split(y).all(z, z == "a")))
self.l.all(x, self.l.exists(y, x.replace(y, x) == x))
self.l.all(x, self.l.exists(y, x.replace("a", "bcd").contains(y)))
self.l.all(x, self.l.exists(y, x.lowerAscii() == y.upperAscii()))
self.l.all(x, self.l.exists(y, x.substring(1) == y.trim()))
self.l.all(x, self.l.exists(y, x.charAt(0) == y))
self.l.all(x, self.l.exists(y, x.indexOf(y) == 1))
self.l.all(x, self.l.exists(y, x.lastIndexOf(y, 1) == 1))
self.l.all(x, self.l.exists(y, (x + y).size() > 3))
self.l.all(x, self.l.exists(y, (x + y) == y))
self.l.all(x, self.l.exists(y, [x, y].join("-") == y))
self.l.all(x, self.l.join("-") == x)
self.l.all(x, self.l.exists(y, size(x) == size(y)))
self.l.all(x, self.l.exists(y, x in [y, "a"]))
self.l.all(x, self.l.exists(y, x in self.l))
self.l.all(x, self.l.exists(y, x in self.m))
self.l.all(x, self.l.exists(y, self.m[x] == y))
self.l.all(x, self.l.exists(y, {x: y}.size() == 1))
self.l.all(x, self.l.exists(y, [x, y].isSorted()))
self.l.all(x, self.l.isSorted())
self.l.all(x, self.l.min() == x)
self.l.all(x, self.l.indexOf(x) == 1)
self.l.all(x, self.l.includes(x))
self.l.all(x, self.n.sum() == 1)
self.n.all(x, self.n.all(y, x == y))
self.n.all(x, self.n.all(y, x + y == 3))
self.n.all(x, self.n.all(y, self.n.max() == x))
self.n.all(x, self.n.all(y, [x, y].sum() == 3))
self.n.all(x, self.n.all(y, x > y ? x == 1 : y == 2))
self.n.all(x, self.n.all(y, x > y && x > 1 || y > 2))
self.n.all(x, self.n.exists_one(y, x == y))
self.n.all(x, self.n.map(y, x + y).size() == 1)
self.n.all(x, self.n.map(y, y > 1, x + y).size() == 1)
self.n.all(x, self.n.filter(y, x == y).size() == 1)
self.n.all(x, self.n.filter(y, x == y).map(z, z + 1).all(w, w > 1))
self.n.all(x, self.n.distinct().size() == 1)
self.n.all(x, self.n.sort() == self.n)
self.n.all(x, self.n.reverse() == self.n)
self.n.all(x, self.n.slice(0, 3) == self.n)
self.n.all(x, lists.range(3).size() == 3)
self.n.all(x, self.n.all(y, sets.contains([x], [y])))
self.n.all(x, sets.contains(self.n, self.n))
self.n.all(x, sets.equivalent(self.n, self.n))
self.n.all(x, sets.intersects(self.n, [1, 2]))
self.n.all(i, x, self.n.all(j, y, i + j == x + y))
self.n.all(x, self.n.transformList(i, v, i + v).size() == 1)
self.n.all(x, self.n.transformMap(i, v, i + v).size() == 1)
self.m.all(k, self.m.all(j, k == j))
self.m.all(k, self.m.all(j, self.m[k] == self.m[j]))
self.m.all(k, v, self.m.all(j, w, v == w))
self.l.all(x, self.l.exists(y, isURL(x) && url(x).getHost() == y))
self.l.all(x, self.l.exists(y, isIP(x) && ip(x).family() == 4))
self.l.all(x, self.l.exists(y, ip(x) == ip(y)))
self.l.all(x, self.l.exists(y, cidr(x).containsIP(y)))
self.l.all(x, self.l.exists(y, cidr(x).containsCIDR(cidr(y))))
self.l.all(x, self.l.exists(y, ip.isCanonical(x)))
self.l.all(x, self.l.exists(y, quantity(x).isLessThan(quantity(y))))
self.l.all(x, self.l.exists(y, quantity(x) == quantity(y)))
self.l.all(x, self.l.exists(y, semver(x).compareTo(semver(y)) == 1))
self.l.all(x, self.l.exists(y, url(x) == url(y)))
self.l.all(x, self.l.exists(y, format.dns1123Label().validate(x).hasValue()))
self.l.all(x, self.l.exists(y, format.named(x).hasValue()))
self.l.all(x, self.l.exists(y, int(x) == int(y)))
self.l.all(x, self.l.exists(y, double(x) < double(y)))
self.l.all(x, self.l.exists(y, duration(x) < duration(y)))
self.l.all(x, self.l.exists(y, timestamp(x).getFullYear() == 2020))
self.l.all(x, self.l.exists(y, bytes(x) == bytes(y)))
self.l.all(x, self.l.exists(y, string(x) == string(1)))
self.l.all(x, self.l.exists(y, "%s-%s".format([x, y]) == y))
self.l.all(x, self.l.exists(y, strings.quote(x) == y))
self.l.all(x, self.l.exists(y, type(x) == string))
self.l.all(x, self.l.exists(y, dyn(x) == y))
self.l.all(x, self.l.exists(y, optional.of(x).orValue(y) == y))
self.l.all(x, self.l.exists(y, self.m[?x].orValue("") == y))
self.l.all(x, self.l.exists(y, self.?s.orValue("") == y))
self.l.all(x, self.l.exists(y, has(self.s) && self.s == x))
self.l.all(x, self.l.exists(y, has(self.o.x)))
self.l.all(x, self.l.exists(y, self.o == self.o))
self.l.all(x, self.l.exists(y, self.o.x == 1))
self.l.all(x, self.l == self.l)
self.l.all(x, self.m == self.m)
self.l.all(x, self.s.matches(x))
self.l.all(x, self.s == x + x + x)
self.l.all(x, (self.l + self.l).all(y, x == y))
self.l.map(x, x + "a").all(x, self.l.map(z, z).all(y, x == y))
self.l.map(x, x.size()).all(x, self.l.all(y, y.size() == x))
self.l.filter(x, x.size() > 1).all(x, self.l.all(y, y == x))
self.t.all(x, self.t.all(y, x.name == y.name))
self.t.all(x, self.t.exists(y, x == y))
self.t.all(x, x.list.all(y, y == "a"))
self.t.all(x, self.t.all(y, x.list == y.list))
self.t.all(x, self.t.all(y, x.num + y.num > 1))
self.t.map(x, x.name).all(x, self.l.all(y, x == y))
self.t.map(x, x.name).isSorted()
self.t.exists_one(x, self.t.exists_one(y, x.name < y.name))
self.u.all(x, self.u.all(y, x == y))
self.u.all(x, x == "a")
self.u.map(x, x).size() == 1
self.u.isSorted()
self.u.all(x, x.matches("a"))
self.v == self.v
self.v.contains("a")
self.v.matches("^[a-z]*$")
self.v.find("a+b+c+d+e+f+g+") == ""
self.v.split(",").all(x, x == "a")
self.v.split(",").map(x, x.split(":")).all(x, x.size() == 1)
self.v.replace("a", "b").matches("a")
self.v.lowerAscii().upperAscii().trim() == self.v
self.w.all(k, self.w[k] == "a")
self.w.all(k, k.matches("a"))
self.w.all(k, self.w.all(j, k == j))
self.q.all(x, self.q.all(y, x == y))
self.q.sum() == 1
'''


def lines(text):
    return [line for line in text.splitlines() if line.strip()]
