package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ellipsis ends a text that stands for any other which begins so.
const ellipsis = "…"

// differences are what an outcome has otherwise than expected, in words.
func differences(expected map[string]any, way string, outcome map[string]any) []string {
	var found map[string]any
	text, err := json.Marshal(outcome)
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil {
		return []string{err.Error()}
	}
	if expected["error"] != nil {
		return differencesOfErrors(expected, way, found)
	}
	if found["error"] != nil {
		return []string{fmt.Sprintf("%v ended with %v", found["on"], found["error"])}
	}
	var reasons []string
	for _, key := range list(expected["metadata_keys"]) {
		if !slices.Contains(list(found["metadata_keys"]), key) {
			reasons = append(reasons, fmt.Sprintf("the schema's metadata lacks %v", key))
		}
	}
	for _, part := range []string{"plan", "schema", "rows", "progress", "columns"} {
		wanted, isWanted := expected[part]
		if got, isThere := found[part]; isWanted && isThere {
			reasons = append(reasons, compare(part, wanted, got)...)
		}
	}
	return reasons
}

func differencesOfErrors(expected map[string]any, way string, found map[string]any) []string {
	got, failed := found["error"].(map[string]any)
	if !failed {
		return []string{fmt.Sprintf("no error, %v rows", found["rows"])}
	}
	rpcs := list(expected["on"])
	if way == "ticket" {
		rpcs = slices.DeleteFunc(rpcs, func(rpc any) bool { return rpc == "GetFlightInfo" })
	}
	reasons := compare("on", rpcs[0], found["on"])
	wanted := expected["error"].(map[string]any)
	if expected["code_only"] == true {
		reasons = append(reasons, compare("error.code", wanted["code"], got["code"])...)
	} else {
		reasons = append(reasons, compare("error", wanted, got)...)
	}
	if expected["plan"] != nil && found["plan"] != nil {
		reasons = append(reasons, compare("plan", expected["plan"], found["plan"])...)
	}
	return reasons
}

func compare(what string, expected, found any) []string {
	if wanted, ok := expected.(map[string]any); ok {
		if got, ok := found.(map[string]any); ok {
			var reasons []string
			names := map[string]bool{}
			for name := range wanted {
				names[name] = true
			}
			for name := range got {
				names[name] = true
			}
			for _, name := range slices.Sorted(maps.Keys(names)) {
				if name != "shown" { // for people
					reasons = append(reasons, compare(what+"."+name, wanted[name], got[name])...)
				}
			}
			return reasons
		}
	}
	if wanted, ok := expected.([]any); ok {
		if got, ok := found.([]any); ok && len(got) == len(wanted) {
			var reasons []string
			for i := range wanted {
				reasons = append(reasons, compare(fmt.Sprintf("%s[%d]", what, i), wanted[i], got[i])...)
			}
			return reasons
		}
		return []string{fmt.Sprintf("%s is %v, expected %v", what, found, expected)}
	}
	if _, isMap := found.(map[string]any); !isMap && expected == found {
		return nil
	}
	wanted, isText := expected.(string)
	got, _ := found.(string)
	if isText && strings.HasSuffix(wanted, ellipsis) && strings.HasPrefix(got, strings.TrimSuffix(wanted, ellipsis)) {
		return nil
	}
	return []string{fmt.Sprintf("%s is %v, expected %v", what, found, expected)}
}

func list(value any) []any {
	items, _ := value.([]any)
	return slices.Clone(items)
}
