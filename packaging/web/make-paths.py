#!/usr/bin/env python3
"""Writes paths.txt: `./make-paths.py > paths.txt`. Deterministic: the same on every run.

The words below were put down by the authors of recon from what they know of servers, frameworks,
products and habits. Each tier is likelier than the next; within a tier the order is that of the words
here. Later tiers combine stems with endings by the rule that stands beside them.
"""

HEADER = """\
# recon's default word list: paths to ask a web server for, likeliest first.
# Made by the authors of recon with make-paths.py, which holds the words and the rules by which they are
# combined; put down from public knowledge of server software, frameworks, products and conventions. No
# other word list was copied.
# %EXT% stands for the extensions of the technology that the server shows.
"""


def words(text):
    return text.split()


# Files and directories that servers, frameworks and people leave in place, by their full names.
EXACT = words("""
robots.txt admin login .git/HEAD .env index.php index.html sitemap.xml api favicon.ico images css js assets static
uploads admin/ administrator wp-login.php wp-admin/ phpmyadmin/ .well-known/security.txt config backup test dev
.git/config .htaccess .htpasswd .svn/entries .svn/wc.db .hg/ .bzr/ .DS_Store .gitignore server-status server-info phpinfo.php
info.php test.php README.md readme.txt README CHANGELOG.md CHANGELOG LICENSE docs doc cgi-bin/ status health healthz
metrics actuator actuator/health actuator/env actuator/info actuator/metrics actuator/mappings actuator/heapdump
actuator/beans actuator/configprops actuator/loggers actuator/threaddump actuator/prometheus actuator/httptrace
actuator/gateway/routes actuator/jolokia actuator/logfile actuator/scheduledtasks actuator/sessions actuator/shutdown
swagger swagger-ui swagger-ui.html swagger-ui/index.html swagger.json swagger.yaml swagger/v1/swagger.json
swagger/index.html swagger-resources openapi.json openapi.yaml v2/api-docs v3/api-docs api-docs api/docs api/swagger.json
api/swagger api/openapi.json api/v1 api/v2 api/v3 api/health api/status api/users api/user api/login api/admin api/auth
api/config api/version graphql graphiql playground altair graphql/console api/graphql v1/graphql redoc docs/api
console dashboard panel cpanel webmail mail portal manager manager/html host-manager/html jmx-console web-console
admin.php admin.html admin/login admin/index.php admin/login.php admin/config.php admin/dashboard adminer.php adminer
administrator/ administration login.php login.html login.aspx login.jsp signin sign-in signup sign-up register
register.php logout logout.php auth oauth sso saml oauth/token oauth2/authorize .well-known/openid-configuration
.well-known/oauth-authorization-server .well-known/jwks.json .well-known/change-password .well-known/assetlinks.json
.well-known/apple-app-site-association .well-known/acme-challenge/ .well-known/host-meta .well-known/webfinger
.well-known/nodeinfo .well-known/mta-sts.txt .well-known/dnt-policy.txt .well-known/matrix/client .well-known/caldav
security.txt humans.txt ads.txt app-ads.txt crossdomain.xml clientaccesspolicy.xml manifest.json site.webmanifest
browserconfig.xml service-worker.js sw.js sitemap_index.xml sitemap.xml.gz sitemap.txt sitemap1.xml rss.xml feed.xml atom.xml
feed rss .env.local .env.production .env.development .env.dev .env.prod .env.staging .env.test .env.example .env.sample
.env.bak .env.backup .env.old .env.save .env~ .env.1 .env.dist .env.json .env.php .envrc .flaskenv env.js env.json
config.php config.json config.js config.yml config.yaml config.xml config.ini config.inc.php config.inc config.toml
config.php.bak config.php~ config.php.old config.php.save config.php.swp config.bak config.old config.txt config/
configuration.php settings.php settings.py settings.json settings.yml local_settings.py database.yml database.php
config/database.yml config/database.php config/config.php config/config.json config/config.yml config/secrets.yml
config/settings.yml config/master.key config/credentials.yml.enc config/app.php config/default.json config/production.json
config/routes.rb config/parameters.yml app/config/parameters.yml application.properties application.yml
application.yaml bootstrap.yml appsettings.json appsettings.Development.json appsettings.Production.json web.config
Web.config web.config.bak web.config.old global.asax Global.asax trace.axd elmah.axd ScriptResource.axd WebResource.axd
WEB-INF/web.xml WEB-INF/ META-INF/ META-INF/MANIFEST.MF WEB-INF/classes/ WEB-INF/lib/ WEB-INF/applicationContext.xml
WEB-INF/struts-config.xml composer.json composer.lock package.json package-lock.json yarn.lock pnpm-lock.yaml bower.json
Gemfile Gemfile.lock requirements.txt Pipfile Pipfile.lock pyproject.toml poetry.lock setup.py go.mod go.sum Cargo.toml
Cargo.lock pom.xml build.gradle build.xml Makefile Rakefile Gruntfile.js gulpfile.js webpack.config.js vite.config.js
next.config.js nuxt.config.js tsconfig.json .babelrc .eslintrc .npmrc .yarnrc .editorconfig .prettierrc .travis.yml
.gitlab-ci.yml .github/ .github/workflows/ .circleci/config.yml Jenkinsfile azure-pipelines.yml appveyor.yml
bitbucket-pipelines.yml cloudbuild.yaml Dockerfile docker-compose.yml docker-compose.yaml docker-compose.override.yml
docker-compose.prod.yml .dockerignore .dockercfg .docker/config.json Procfile Vagrantfile ansible.cfg inventory
playbook.yml hosts terraform.tfstate terraform.tfvars .terraform/ main.tf serverless.yml netlify.toml vercel.json
now.json firebase.json .firebaserc app.yaml app.json .aws/credentials .aws/config .ssh/id_rsa .ssh/authorized_keys
.ssh/known_hosts .ssh/config id_rsa id_rsa.pub id_dsa id_ed25519 server.key server.crt server.pem privkey.pem key.pem
cert.pem ssl/ certs/ private.key public.key .pgpass .my.cnf .netrc .bash_history .bash_profile .bashrc .profile
.zsh_history .mysql_history .psql_history .python_history .viminfo .vimrc .wget-hsts .lesshst .history .sh_history
.git/ .git/index .git/logs/HEAD .git/refs/heads/master .git/refs/heads/main .git/packed-refs .git/description
.git/COMMIT_EDITMSG .git/FETCH_HEAD .git/ORIG_HEAD .git/info/exclude .git/objects/ .git/hooks/ .gitattributes .gitmodules
.gitconfig .git-credentials .gitkeep .svn/ .svn/all-wcprops .svnignore .hg/store/ .hg/hgrc .hgignore CVS/ CVS/Root CVS/Entries
CVS/Repository .idea/ .idea/workspace.xml .idea/modules.xml .idea/vcs.xml .idea/dataSources.xml .vscode/ .vscode/settings.json
.vscode/sftp.json .vscode/launch.json .project .classpath .settings/ .buildpath nbproject/ nbproject/project.properties
sftp-config.json .ftpconfig .remote-sync.json ftpsync.settings .sublime-project .metadata Thumbs.db desktop.ini .listing
.htaccess.bak .htaccess~ .htaccess.old .htaccess.txt .htpasswd.bak htaccess.txt .user.ini php.ini .php.ini .phpunit.result.cache
phpunit.xml phpunit.xml.dist phpinfo i.php pi.php php.php php_info.php phpversion.php _phpinfo.php infophp.php opcache.php
apc.php info.txt version version.txt VERSION version.json build.txt build-info.json release.txt revision.txt REVISION
dump.sql backup.sql database.sql db.sql data.sql mysql.sql site.sql users.sql export.sql db_backup.sql dump.sql.gz
backup.sql.gz db.sql.gz dump.zip backup.zip backup.tar.gz backup.tar backup.tgz backup.rar backup.7z site.zip site.tar.gz
www.zip www.tar.gz web.zip html.zip htdocs.zip public_html.zip public_html.tar.gz source.zip src.zip code.zip
old.zip archive.zip archive.tar.gz files.zip data.zip db.zip sql.zip database.zip app.zip website.zip upload.zip wwwroot.zip
db.sqlite db.sqlite3 database.sqlite database.db data.db app.db users.db test.db dump.rdb dump.json data.json users.json
users.csv users.txt users.xml passwords.txt password.txt passwd passwd.txt credentials.json credentials.txt
credentials.xml secrets.json secrets.yml secret.txt secret.key keys.json token.txt tokens.json service-account.json
error.log error_log errors.log access.log access_log debug.log app.log application.log system.log php_errors.log
php_error.log laravel.log storage/logs/laravel.log logs/error.log logs/access.log logs/app.log logs/debug.log log/error.log
log/development.log log/production.log npm-debug.log yarn-error.log install.log mail.log sql.log server.log catalina.out
logs/catalina.out var/log/ log.txt logs.txt error.txt debug.txt nohup.out core core.dump dead.letter WS_FTP.LOG ws_ftp.log
install.php install/ installer/ setup.php setup/ setup.sh install.sh upgrade.php update.php upgrade/ update/ migrate.php
shell.php cmd.php c99.php r57.php upload.php uploader.php filemanager/ filemanager.php file-manager elfinder/ elfinder.html
ckeditor/ ckfinder/ fckeditor/ tinymce/ kcfinder/ ueditor/ phpMyAdmin/ phpmyadmin pma/ PMA/ myadmin/ mysql/ dbadmin/ sqladmin/
mysqladmin/ phppgadmin/ pgadmin/ sqlitemanager/ websql/ db/ sql/ database/ xampp/ webalizer/ awstats/ awstats.pl usage/
munin/ nagios/ cacti/ zabbix/ grafana/ kibana/ app/kibana prometheus/ graph alertmanager/ jenkins/ sonar/ nexus/
artifactory/ gitlab/ gitea/ gogs/ jira/ confluence/ bitbucket/ redmine/ trac/ bugzilla/ mantis/ wiki/ phabricator/ rundeck/
portainer/ rancher/ kubernetes/ traefik/ consul/ ui/ vault/ nomad/ solr/ solr/admin/ elasticsearch/ _cat/indices _search
_cluster/health _nodes _stats _all_dbs _utils/ _config _users rabbitmq/ api/overview activemq/ admin/queues.jsp druid/index.html
nacos/ apollo/ eureka/ eureka/apps hystrix.stream turbine.stream jolokia jolokia/list jolokia/version heapdump env trace
mappings beans configprops autoconfig loggers threaddump dump prometheus info liveness readiness livez readyz ping
healthcheck health-check health.php ready alive heartbeat up nginx_status basic_status stub_status fpm-status fpm-ping
php-fpm-status status.php status.json status.html balancer-manager server-status?full haproxy?stats stats stats/ statistics
varnish-status pagespeed_admin/ ngx_pagespeed_statistics debug/pprof/ debug/vars debug/ debug/default/view __debug__/
_debugbar/open _profiler _profiler/phpinfo _wdt app_dev.php app_dev.php/_profiler telescope horizon nova log-viewer
_ignition/health-check _ignition/execute-solution vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php vendor/autoload.php
vendor/composer/installed.json vendor/ node_modules/ bower_components/ storage/ bootstrap/cache/ artisan public/ public/index.php
rails/info/properties rails/info/routes rails/mailers sidekiq resque delayed_job letter_opener admin/sidekiq
rails/active_storage/ assets/application.js django-admin/ admin/doc/ __admin silk/ flower/ celery/ static/admin/ media/
werkzeug console/ elmah umbraco/ umbraco/webservices/ sitecore/ sitecore/login sitefinity/ kentico/ episerver/ DesktopModules/
Telerik.Web.UI.WebResource.axd _vti_bin/ _vti_bin/lists.asmx _vti_pvt/ _vti_inf.html _layouts/ _layouts/15/start.aspx
_api/web SitePages/ Pages/default.aspx aspnet_client/ App_Data/ App_Code/ bin/ default.aspx Default.aspx index.aspx
default.asp index.asp iisstart.htm iisadmin/ owa/ ecp/ autodiscover/autodiscover.xml EWS/Exchange.asmx ews/ rpc/ mapi/
Microsoft-Server-ActiveSync PowerShell/ OAB/ adfs/ls/ adfs/ls/idpinitiatedsignon.aspx rdweb/ RDWeb/Pages/ remote/login
remote/ vpn/ vpn/index.html dana-na/auth/url_default/welcome.cgi dana-na/ global-protect/login.esp global-protect/
+CSCOE+/logon.html tmui/login.jsp tmui/ my.policy citrix/ Citrix/ logon/LogonPoint/ logon/ sslvpn/ sslmgr cgi-bin/luci
cgi-bin/test-cgi cgi-bin/printenv cgi-bin/status cgi-bin/test.cgi cgi-bin/login.cgi cgi-bin/admin.cgi cgi-bin/php
cgi-bin/webproc HNAP1/ hudson/ script userContent/ j_security_check axis2/ axis2-admin/ axis/ services services/
services/listServices ws/ wsdl soap/ soap xmlrpc xmlrpc.php jsonrpc rpc rest rest/ restapi odata odata/ struts/ struts2-showcase/
examples/ examples/servlets/ examples/jsp/ tomcat-docs/ docs/index.html manager/status manager/text jsp-examples/
servlets-examples/ invoker/JMXInvokerServlet invoker/ web-console/ admin-console/ jbossws/ management wls-wsat/CoordinatorPortType
weblogic/ console/login/LoginForm.jsp uddiexplorer/ bea_wls_deployment_internal/ ibm/console/ wps/portal wps/ lc/
crx/de/index.jsp crx/ system/console libs/granite/core/content/login.html etc/ content/dam/ content.json bin/querybuilder.json
hybris/ hac/ irj/portal sap/bc/ sap/ sap/public/info webdynpro/ OA_HTML/ psp/ siebel/ cognos/ businessobjects/ BOE/BI
""")

# Names of directories and pages; each is tried by itself, the extensions come in where the site has them.
STEMS = words("""
about account accounts action actions activate activity ad adm admin1 admin2 adminarea admincp adminpanel admins ads
affiliate affiliates agent agents ajax album albums alert alerts alpha analytics announcement announcements app apps apply
archive archives area article articles ask asset attachment attachments audio audit authenticate authentication author
authors auto avatar avatars back backend backoffice backups banner banners bank base basket batch beta bill billing bin
blocks blog blogs board bookmarks book booking bot browse bug bugs build builder builds bulk business buy cache calendar
call callback campaign campaigns captcha career careers cart case cases catalog catalogue categories category cdn center
central certificate chart charts chat check checkout class classes clear client clients cloud cms code collection
collections comment comments common community companies company compare complaint component components compose conf
conference confirm connect connector consent consumer contact contact-us contacts contacts-us content contents contest
contract control controller controllers controlpanel cookie copy core corp country coupon coupons course courses create
credit crm cron cronjob crons css currency custom customer customers daemon data databases date db deal dealer debug default
delete delivery demo demos deploy deployment design dev2 develop developer developers development device devices dialog dir
directory disclaimer discount discussion display dist dl dns document documentation documents domain domains donate down
download downloader downloads draft drafts drive driver edit editor editors email emails embed employee employees en engine
enquiry error errors event events example exchange export exports ext extension extensions external extra extranet faq
faqs favorites fax feature features feedback fetch file files film filter finance find firm flash flow folder font fonts
footer forgot forgot-password forgotpassword form forms forum forums foto frame framework free friend friends front
frontend ftp full function functions fund gallery game games gateway general generate generator geo get gift global go
google graphics group groups guest guestbook guide guides handler handlers head header headers hello help helpdesk helper
helpers hidden history home homepage host hosting hotel house hr html http icon icons id idea image img import imports in
inbox inc include includes index info information init inquiry insert install inside insurance integration interface
intern internal international intranet inventory invest investor investors invite invoice invoices ip issue issues item
items java javascript job jobs join journal json jump key keys kb knowledgebase lab labs landing lang language languages
latest launch layout layouts lead leads learn legacy legal lib libraries library libs license licenses link links list
listing listings lists live load loader loan local locale location locations log logger logging login2 logo logos logs
lost lostpassword m mailer mailing mailman main maintenance manage management map maps market marketing master media
member members membership menu menus merchant message messages messenger meta mgmt migrate migration migrations mini
mobile mock mode model models moderator module modules money monitor monitoring movie movies mp3 msg multimedia music my
my-account myaccount mysite name nav network new news newsletter newsletters next node nodes note notes notice
notification notifications notify oauth2 object objects off offer offers office official offline old on online open
operator option options order orders org other out outbox output overview owner package packages page pages parent part
partner partners parts party pass password password-reset passwords patch path pay payment payments paypal pdf people
performance permission permissions person personal phone photo photos php phpbb pic picture pictures pics ping pipeline
place plan plans platform play player plugin plugins podcast policies policy poll polls pool pop popup portfolio post
posts preferences premium press preview price prices pricing print privacy private prod product production products
profile profiles program programs project projects promo promotion promotions property protected provider proxy public
publication publications publish purchase push query question questions queue quick quiz quote quotes radio random
rate rating ratings read readme reception recent recommend record records recover recovery redirect ref reference
referral refresh region registration reg release releases reload remote remove render rent repo report reporting reports
repository request requests research reseller reservation reset reset-password resource resources response rest restore
restricted result results resume retail return review reviews role roles root router rules run safe sale sales sample
samples sandbox save scan schedule scheduler schema school science screen script scripts sdk search secret secrets secure
secured security select sell send seo server servers service session sessions set setting settings share shared sharing
ship shipping shop shopping shops show signout signup2 simple site sitemap sites skin skins slider smart sms social soft
software solution solutions source sources spam special spec sport sports src ssl staff stage staging start stat state
static2 store stores story stream student students studio style styles stylesheet stylesheets sub subject submission submit
subscribe subscriber subscribers subscription subscriptions success suggest summary super superadmin supplier support
survey surveys svc switch sync syndication sys sysadmin system systems table tag tags target task tasks team tech
technology temp template templates term terms test1 test2 testing tests text theme themes thread thumb thumbnail
thumbnails thumbs ticket tickets time timeline tmp token tokens tool toolbar tools top topic topics tour tours track tracker
tracking trade traffic trailer train training transaction transactions transfer translate translations travel trial
tutorial tutorials tv type ui unsubscribe upload uploadfile upload-file uploadimage uploaded url urls usage user users util
utilities utility utils validate validation validator vendor vendors verification verify video videos view viewer views
vip virtual visitor voip volunteer vote wallet warehouse watch weather web webadmin webapi webapp webapps webcam webhook
webhooks weblog webmaster webservice webservices website websites welcome whitepaper widget widgets wiki win wizard word work
worker workers workflow workplace workshop world wp write ws www www2 xml xmlapi yellow zone
""")

LOCALES = words("""
en de fr es it pt ru zh ja ko nl pl sv no fi da tr cs el hu ro uk ar he th vi id en-us en-gb de-de fr-fr es-es pt-br zh-cn
zh-tw ja-jp it-it en_US de_DE fr_FR es_ES pt_BR
""")

# Names of what an interface serves.
RESOURCES = words("""
users user accounts account admin auth login logout register token tokens session sessions me profile profiles customers
orders order products product items item cart carts payments payment invoices invoice transactions files file upload uploads
images documents reports report export import search messages message notifications events event logs log settings
config configs status health version info metrics stats keys key secrets groups group roles role permissions projects
project tasks task jobs job comments posts articles categories tags data devices clients companies organizations teams
members contacts leads tickets webhooks callbacks subscriptions plans billing wallet balance debug test internal private public
graphql swagger docs openapi.json schema batch sync backup system servers nodes clusters services
""")

ENDINGS_OF_COPIES = words("old bak backup new test dev tmp 1 2 copy orig save")
STEMS_OF_COPIES = words("""
admin api app assets backup blog cms config css data database db demo docs files forum home html images img include
includes index js lib login main media old portal public scripts shop site sites src staging static store system temp
template templates test tools upload uploads user users web website wiki wordpress wp www public_html htdocs account
""")
DUMPS = words("""
backup db database dump data site web www mysql sql users app admin wordpress wp drupal joomla magento shop store prod
production staging dev test full old latest export main master public_html htdocs html website files customers clients
orders accounts members crm erp cms forum blog
""")
ARCHIVES = words("zip tar.gz tar tgz rar 7z sql sql.gz sql.zip sql.bz2 bak old gz tar.bz2")

ADMIN_PAGES = words("""
index login logout dashboard config settings users user upload files backup db sql install setup home main menu panel
account accounts password profile admin controlpanel cp system logs log stats tools manage edit news products orders
pages posts category categories content images media banner reports mail export import update
""")
ADMIN_PLACES = words("admin administrator adm manage manager cms panel backend control cp siteadmin webadmin")

DIRECTORIES_WITH_CONTENT = words("admin api app assets backup config content css data docs files images img includes inc js "
                                 "lib media old public scripts src static storage templates test tmp upload uploads "
                                 "user users var web")
CONTENT = words("index.php index.html config.php test.php upload.php README.md backup.zip .htaccess .git/HEAD .env data.json "
                "users main.js app.js style.css main.css config.json config.js settings.php database.php functions.php db.php "
                "login.php login admin images files old backup tmp logs private upload uploads api test dev new")

SCRIPTS = words("""
app main index bundle vendor common core script scripts runtime polyfills config settings env constants api auth login admin
utils jquery jquery.min bootstrap bootstrap.min vue vue.min react angular modernizr custom site global plugins functions
application all init loader worker chunk manifest routes router store socket
""")
STYLES = words("style styles main app site global common admin login bootstrap bootstrap.min theme custom print reset fonts "
               "font-awesome.min layout index all")
FILES_WITH_EXTENSION = words("""
admin login index config test info db database upload search user users register logout home main default menu header footer
functions connect connection conn dbconnect settings setup install common include global init bootstrap ajax api json xml
download file files image view edit add delete update process save send mail contact form submit list show page print
export import report stats status error debug phpinfo shell cmd proxy redirect go out link get post data session auth
check verify activate reset forgot password changepassword profile account cart checkout payment order orders product
products category news article blog comment comments feed rss sitemap cron task job backup restore
""")


def tiers():
    yield EXACT
    # Interfaces: each version with each resource.
    yield STEMS
    for base in ("api/", "api/v1/", "api/v2/", "rest/", "v1/", "v2/", "api/v3/", "api/internal/", "api/public/"):
        yield [base + name for name in RESOURCES]
    # Pages by the site's own extension.
    yield [f"{name}.%EXT%" for name in FILES_WITH_EXTENSION]
    # Pages of the administration.
    for place in ADMIN_PLACES:
        yield [f"{place}/{name}" for name in ADMIN_PAGES]
        yield [f"{place}/{name}.%EXT%" for name in ADMIN_PAGES]
    # Archives and dumps.
    for ending in ARCHIVES:
        yield [f"{name}.{ending}" for name in DUMPS]
    # Copies of directories and pages: -old, _old, .old, old.
    for ending in ENDINGS_OF_COPIES:
        for joint in ("-", "_", ".", ""):
            yield [f"{name}{joint}{ending}" for name in STEMS_OF_COPIES]
    # What is within the usual directories.
    for place in DIRECTORIES_WITH_CONTENT:
        yield [f"{place}/{name}" for name in CONTENT]
    # Scripts, their maps and styles, where they use to be.
    for place in ("js/", "static/js/", "assets/js/", "assets/", "", "scripts/", "dist/", "build/", "javascript/"):
        for name in SCRIPTS:
            yield [f"{place}{name}.js", f"{place}{name}.js.map"]
    for place in ("css/", "static/css/", "assets/css/", "assets/", ""):
        yield [f"{place}{name}.css" for name in STYLES]
    # Languages, years, numbers and letters.
    yield LOCALES
    yield [str(year) for year in range(2027, 1997, -1)]
    yield [str(number) for number in range(0, 101)]
    yield [chr(letter) for letter in range(ord("a"), ord("z") + 1)]
    yield [f"{stem}{number}" for number in (1, 2, 3) for stem in STEMS]
    # The stems in the other number, as a static page, and in other cases.
    yield [stem[:-1] if stem.endswith("s") else stem + "s" for stem in STEMS]
    yield [f"{stem}.html" for stem in STEMS]
    yield [f"{stem}.json" for stem in STEMS]
    yield [f"{stem}.txt" for stem in STEMS]
    yield [f"{stem}.xml" for stem in STEMS[:400]]
    yield [stem.capitalize() for stem in STEMS]
    yield [f"_{stem}" for stem in STEMS]


def main():
    print(HEADER, end="")
    known = set()
    for tier in tiers():
        for word in tier:
            if word not in known:
                known.add(word)
                print(word)


main()
