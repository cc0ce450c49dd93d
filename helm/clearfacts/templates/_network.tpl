{{/* The table of arrows as it holds here: {"places": ..., "arrows": ...}, without what this installation does not have. */}}
{{- define "clearfacts.arrows" -}}
{{- $table := .Files.Get "files/arrows.yaml" | fromYaml -}}
{{- $places := omit $table.places "unused" -}}
{{- $arrows := list -}}
{{- range $arrow := $table.arrows -}}
  {{- $without := or (and (eq $arrow.to "redis") (eq $.Values.redis.mode "none")) (and (eq $arrow.from "backup") (not $.Values.backup.enabled)) (and (eq $arrow.from "prometheus") (not $.Values.monitoring.enabled)) -}}
  {{- if not $without -}}{{- $arrows = append $arrows $arrow -}}{{- end -}}
{{- end -}}
{{- range $name := list "postgresql" "redis" -}}
  {{- $of := ternary $.Values.database $.Values.redis (eq $name "postgresql") -}}
  {{- if ne $of.mode "internal" -}}{{- $_ := set $places $name dict -}}{{- end -}}
{{- end -}}
{{- if not .Values.backup.enabled -}}{{- $places = omit $places "backup" -}}{{- end -}}
{{- if not .Values.monitoring.enabled -}}{{- $places = omit $places "prometheus" -}}{{- end -}}
{{ toYaml (dict "places" $places "arrows" $arrows) }}
{{- end }}

{{/* Labels of a place's pods: (dict "root" $ "name" NAME "place" PLACE). */}}
{{- define "clearfacts.placeLabels" -}}
{{- if eq .name "gateway" }}
{{- toYaml .root.Values.gateway.selector }}
{{- else if eq .name "prometheus" }}
{{- toYaml .root.Values.monitoring.prometheus.labels }}
{{- else }}
{{- include "clearfacts.selector" .place }}
{{- end }}
{{- end }}

{{/* One end of an arrow as peers of a NetworkPolicy, and the ports of that end: {"peers": [...], "ports": [...]}. */}}
{{- define "clearfacts.end" -}}
{{- $network := .root.Values.network -}}
{{- $private := dict "ipBlock" (dict "cidr" "0.0.0.0/0" "except" $network.private) -}}
{{- $cidrs := list -}}
{{- $ports := list -}}
{{- if eq .name "kubernetes" -}}{{- $cidrs = $network.kubernetesApi.cidrs -}}{{- $ports = $network.kubernetesApi.ports -}}{{- end -}}
{{- if eq .name "erp" -}}{{- $cidrs = $network.erp.cidrs -}}{{- $ports = list $network.erp.port -}}{{- end -}}
{{- if eq .name "mail" -}}{{- $cidrs = $network.mail.cidrs -}}{{- $ports = list $network.mail.port -}}{{- end -}}
{{- if eq .name "internet" -}}
  {{- range $host := $network.outside -}}{{- $ports = append $ports $host.port -}}{{- end -}}
{{- end -}}
{{- if eq .name "postgresql" -}}{{- $cidrs = .root.Values.database.cidrs -}}{{- $ports = list .root.Values.database.port -}}{{- end -}}
{{- if eq .name "redis" -}}{{- $cidrs = .root.Values.redis.cidrs -}}{{- $ports = list .root.Values.redis.port -}}{{- end -}}
{{- if .place.namespace }}
peers:
  - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ get .root.Values.namespaces .place.namespace }} } }
    podSelector: { matchLabels: {{ include "clearfacts.placeLabels" . | fromYaml | toJson }} }
ports: []
{{- else if eq .name "world" }}
peers: [{ ipBlock: { cidr: 0.0.0.0/0 } }]
ports: []
{{- else if $cidrs }}
peers:
  {{- range $cidrs }}
  - { ipBlock: { cidr: {{ . }} } }
  {{- end }}
ports: {{ $ports | uniq | toJson }}
{{- else }}
peers: [{{ $private | toJson }}]
ports: {{ $ports | uniq | toJson }}
{{- end }}
{{- end }}

{{/* A rule of a NetworkPolicy: (dict "root" $ "arrow" ARROW "name" OTHER END "place" ITS PLACE "way" "from" or "to"). */}}
{{- define "clearfacts.rule" -}}
{{- $end := include "clearfacts.end" . | fromYaml }}
- {{ .way }}: {{ toYaml $end.peers | nindent 4 }}
  ports:
    {{- range $port := ternary (list .arrow.port) $end.ports (hasKey .arrow "port") }}
    - { protocol: TCP, port: {{ $port }} }
    {{- end }}
{{- end }}

{{- define "clearfacts.principal" -}}
{{- $account := .place.account -}}
{{- if eq .name "gateway" }}{{- $account = .root.Values.gateway.serviceAccount }}{{- end -}}
{{- if eq .name "prometheus" }}{{- $account = .root.Values.monitoring.prometheus.serviceAccount }}{{- end -}}
{{- if eq .name "daemon" }}{{- $account = .root.Values.dagster.serviceAccount }}{{- end -}}
{{ printf "%s/ns/%s/sa/%s" .root.Values.network.trustDomain (get .root.Values.namespaces .place.namespace) $account }}
{{- end }}
