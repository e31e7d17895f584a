# Real servers for what the web scenarios and the benchmark look at. Sourced.
# shellcheck shell=bash

# nginx_conf DIR LOG [WORKERS] : on stdout, the configuration of one nginx: the site of site.py in DIR/site,
# that of hidden.py in DIR/hidden, each on ports of its own.
#   80    the site                        8080  hidden paths on a server as it should be
#   8083  200 for all that is not there, one template that has the path in it
#   8084  200 for all, another length and other words each time
#   8085  302 to /login?next= for all
#   8086  the home page for all, to the byte: a wildcard, as an application in one page has it
nginx_conf() {
    local dir=$1 log=$2
    cat <<CONF
worker_processes ${3:-1};
worker_rlimit_nofile 16384;
pid $dir/nginx.pid;
error_log $dir/nginx-error.log;
events { worker_connections 4096; }
http {
    types { text/html html; text/css css; application/javascript js; application/json json; text/xml xml; text/plain txt; }
    default_type text/html;
    sendfile on;
    keepalive_requests 1000000;
    open_file_cache max=8000;
    log_format told '\$msec \$server_port \$status \$request_method \$request_uri';
    access_log $log told buffer=64k flush=1s;
    client_body_temp_path $dir/temp; proxy_temp_path $dir/temp; fastcgi_temp_path $dir/temp; uwsgi_temp_path $dir/temp; scgi_temp_path $dir/temp;
$(nginx_dice)
    server {
        listen 80 backlog=4096;
        listen [::]:80 backlog=4096;
        root $dir/site;
        location /api/ { default_type application/json; return 200 '{"ok":true}'; }
        location /do/ { return 200 '<!doctype html><title>Done</title><p>It was taken.</p>'; }
    }
    server {
        listen 8080 backlog=4096;
        root $dir/hidden/www;
        include $dir/hidden/nginx.conf;
    }
    server {
        listen 8083 backlog=4096;
        root $dir/hidden/www;
        include $dir/hidden/nginx.conf;
        location / { try_files \$uri \$uri/index.html @soft; }
        location @soft { return 200 '<!doctype html><html><head><title>Not found</title></head><body><h1>Sorry</h1><p>There is no page \$uri here. Go to the <a href="/">start</a>.</p></body></html>'; }
    }
    server {
        listen 8084 backlog=4096;
        root $dir/hidden/www;
        include $dir/hidden/nginx.conf;
        location / { try_files \$uri \$uri/index.html @soft; }
        location @soft { return 200 '<!doctype html><html><head><title>Shop</title></head><body><h1>Have you seen these?</h1><p>\$dice1 \$dice2 \$dice3</p><p>\$dice4 \$dice5 \$dice6</p><i>\$request_id</i></body></html>'; }
    }
    server {
        listen 8085 backlog=4096;
        root $dir/hidden/www;
        include $dir/hidden/nginx.conf;
        location = /login { return 200 '<!doctype html><title>Log in</title><form method=post><input name=user><input name=password type=password></form>'; }
        location / { try_files \$uri \$uri/index.html @soft; }
        location @soft { return 302 /login?next=\$uri; }
    }
    server {
        listen 8086 backlog=4096;
        root $dir/hidden/www;
        include $dir/hidden/nginx.conf;
        location / { try_files \$uri \$uri/index.html /index.html; }
    }
}
CONF
}

# Six texts of 0 to some 40 words each, chosen by digits of the request's number, which is random.
nginx_dice() {
    local die digit words
    for die in 1 2 3 4 5 6; do
        printf '    map $request_id $dice%s {\n' "$die"
        for digit in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do
            words=$(awk -v seed="$die$((16#$digit))" 'BEGIN { srand(seed); n = int(rand() * 40)
                split("blue red green small large old new light heavy cheap rare fine soft round chair table lamp shelf desk sofa clock mirror carpet vase", w, " ")
                for (i = 0; i < n; i++) printf "%s%s", (i ? " " : ""), w[int(rand() * 24) + 1] }')
            printf '        "~^.{%s}%s" "%s";\n' $((die * 3)) "$digit" "$words"
        done
        printf '    }\n'
    done
}

# apache_conf DIR LOG : the site on port 81, hidden paths on port 8081.
apache_conf() {
    local dir=$1 log=$2 modules=/usr/lib/apache2/modules
    cat <<CONF
ServerRoot $dir
ServerName bed.test
PidFile $dir/apache.pid
ErrorLog $dir/apache-error.log
Mutex posixsem
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dir_module $modules/mod_dir.so
LoadModule mime_module $modules/mod_mime.so
LoadModule alias_module $modules/mod_alias.so
LoadModule rewrite_module $modules/mod_rewrite.so
User www-data
Group www-data
Listen 81
Listen 8081
MaxKeepAliveRequests 0
TypesConfig /etc/mime.types
# The request as it came: for a directory, %U is its index by then.
LogFormat "%{sec}t.%{msec_frac}t %p %>s %r" told
DirectoryIndex index.html
<Directory />
    Require all granted
    AllowOverride None
</Directory>
CustomLog $log told
<VirtualHost *:81>
    DocumentRoot $dir/site
    RewriteEngine On
    RewriteRule ^/(api|do)/ $dir/taken.html [L]
</VirtualHost>
<VirtualHost *:8081>
    DocumentRoot $dir/hidden/www
    <Directory $dir/hidden/www>
        ForceType text/html
    </Directory>
    Include $dir/hidden/apache.conf
</VirtualHost>
CONF
}
