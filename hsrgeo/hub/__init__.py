"""KMA's API hub (apihub.kma.go.kr): the key, the budget of a day, one question at a time, frames and gauges."""
