{{- /* What the pods of all services have in common. Each takes a list of the root and the
       service's name. */ -}}

{{- define "attune.metricsPort" -}}
{{- get (dict "recommendations" "9101" "profiles" "9102" "events" "9103" "archive" "9104" "attribution" "9105") (index . 1) -}}
{{- end }}

{{- /* Labels, and where Prometheus finds the metrics. */ -}}
{{- define "attune.podMetadata" -}}
labels:
  {{- include "attune.labels" . | nindent 2 }}
annotations:
  prometheus.io/scrape: "true"
  prometheus.io/path: /metrics
  prometheus.io/port: {{ include "attune.metricsPort" . | quote }}
{{- end }}

{{- /* enableServiceLinks is off for a reason: a Service "attune-profiles" would put variables
       such as ATTUNE_PROFILES_PORT into every pod, and a service refuses a setting that it
       does not know. */ -}}
{{- define "attune.podSpec" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "attune.name" $root }}-{{ index . 1 }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "attune.selector" . | nindent 8 }}
{{- end }}

{{- /* Takes words of the service's command line as well. */ -}}
{{- define "attune.container" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
image: {{ printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion) | quote }}
command: [python, -m, services.{{ index . 1 }}{{ range slice . 2 }}, {{ . }}{{ end }}]
{{ include "attune.confined" . }}
{{- end }}

{{- define "attune.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- /* Settings that all services read under their own prefix. */ -}}
{{- define "attune.env" -}}
{{- $root := index . 0 -}}
{{- $prefix := printf "ATTUNE_%s_" (upper (index . 1)) -}}
- name: {{ $prefix }}KAFKA_SERVERS
  value: {{ required "kafka.servers is missing: name Kafka's bootstrap servers, such as kafka-0.kafka:9092" $root.Values.kafka.servers | quote }}
- name: {{ $prefix }}TOPIC_PREFIX
  value: {{ $root.Values.kafka.topicPrefix | quote }}
- name: {{ $prefix }}METRICS_HOST
  value: 0.0.0.0
- name: {{ $prefix }}METRICS_PORT
  value: {{ include "attune.metricsPort" . | quote }}
- name: {{ $prefix }}LOG_LEVEL
  value: {{ $root.Values.logLevel }}
{{- end }}

{{- define "attune.redisEnv" -}}
- name: ATTUNE_{{ upper (index . 1) }}_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "redis.secret is missing: name the Secret whose key `url` holds the URL of Redis" (index . 0).Values.redis.secret | quote }}
      key: url
{{- end }}

{{- /* All services answer two names: "" while they can do their work, "live" as long as the
       process runs. Startup and liveness ask for "live", so an outage of Kafka or Redis takes
       pods out of service and restarts none; a process has five minutes to start and one to
       answer again. Readiness asks for "". Takes the root, the service and the port. */ -}}
{{- define "attune.probes" -}}
startupProbe:
  grpc: {port: {{ index . 2 }}, service: live}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 150
readinessProbe:
  grpc: {port: {{ index . 2 }}}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  grpc: {port: {{ index . 2 }}, service: live}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{- /* Deny all, then: callers may call, scrapers may scrape, and the pods may ask for names
       and reach what they need by its ports. The node's probes are always let in. A rule that
       lists no port would allow all, so without any there is none. */ -}}
{{- define "attune.networkPolicyEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- with . }}
- ports:
    {{- range . }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- end }}
