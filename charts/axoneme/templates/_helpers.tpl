{{/* Names are fixed: the operator, its nodes and its certificates know each other by them, so one release a namespace. */}}
{{- define "axoneme.labels" -}}
app.kubernetes.io/part-of: axoneme
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "axoneme.image" -}}
{{ .root.Values.images.registry }}/{{ .name }}:{{ .root.Values.images.tag | default .root.Chart.AppVersion }}
{{- end }}
