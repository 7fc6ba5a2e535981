# shellcheck shell=bash
# api.sh: OpenStack's REST APIs by curl and jq: milliseconds a call, where the openstack client takes seconds.

declare -A API_PATH=([keystone]=/v3 [nova]=/v2.1 [glance]=/v2 [neutron]=/v2.0 [cinder]=/v3/@PROJECT@)
TOKEN=

# api METHOD SERVICE PATH [HEADER...] [<BODY]: the answer's body; fails, with the answer, on a status of 400 and more.
# POST, PUT and PATCH of JSON read it from stdin unless it is a terminal or empty.
api() {
	local method=$1 service=$2 url body answer
	url=http://127.0.0.1:$(port "$service")${API_PATH[$service]/@PROJECT@/${PROJECT_ID:-}}$3
	shift 3
	local options=(-sS --max-time 120 -X "$method" -H "X-Auth-Token: $TOKEN" -H 'OpenStack-API-Version: compute 2.60')
	[ "$method" != POST ] || options+=(-H 'Content-Type: application/json' --data-binary @-)
	for body in "$@"; do options+=(-H "$body"); done
	answer=$(curl "${options[@]}" -w '\n%{http_code}' "$url") || return 1
	[[ ${answer##*$'\n'} = [23]* ]] || { echo "error: $S: $method $url: $answer" >&2 && return 1; }
	echo "${answer%$'\n'*}"
}

# api_login USER PROJECT PASSWORD: TOKEN and PROJECT_ID for the calls that follow
api_login() {
	local answer
	answer=$(jq -n --arg user "$1" --arg project "$2" --arg password "$3" '{auth: {
		identity: {methods: ["password"], password: {user: {name: $user, password: $password, domain: {id: "default"}}}},
		scope: {project: {name: $project, domain: {id: "default"}}}}}' |
		curl -sS -i --max-time 60 -H 'Content-Type: application/json' --data-binary @- "$AUTH_URL/auth/tokens")
	TOKEN=$(sed -n 's/^x-subject-token: *\([^\r]*\).*/\1/ip' <<<"$answer")
	[ -n "$TOKEN" ] || die "$S: cannot log in as $1: $answer"
	PROJECT_ID=$(tail -n 1 <<<"$answer" | jq -r .token.project.id)
}

# find_object SERVICE COLLECTION NAME: its id, or nothing
find_object() {
	local key=${2##*/}
	api GET "$1" "/$2?name=$3" |
		jq -r --arg key "${key//-/_}" --arg name "$3" 'first(.[$key][] | select(.name == $name) | .id) // empty'
}

# ensure_object SERVICE COLLECTION KIND NAME JSON: the id of the object of that name, made from JSON if it is missing
ensure_object() {
	local id
	id=$(find_object "$1" "$2" "$4")
	[ -n "$id" ] ||
		id=$(jq -n --arg kind "$3" --arg name "$4" --argjson body "$5" '{($kind): ($body + {name: $name})}' |
			api POST "$1" "/$2" | jq -r --arg kind "$3" '.[$kind].id')
	echo "$id"
}
