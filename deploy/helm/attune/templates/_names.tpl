{{- /* The release's name, and the chart's where the release's does not hold it already. 40
       characters at most: the longest suffix is "-recommendations-" and a pod's hash. */ -}}
{{- define "attune.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- /* What selects the pods of one service; takes a list of the root and the service's name.
       Never changes over the life of a release. */ -}}
{{- define "attune.selector" -}}
app.kubernetes.io/name: attune
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "attune.labels" -}}
{{- $root := index . 0 -}}
{{ include "attune.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- /* Name, namespace and labels of one object; takes a list of the root and the service's name. */ -}}
{{- define "attune.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "attune.name" $root }}-{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "attune.labels" . | nindent 2 }}
{{- end }}
